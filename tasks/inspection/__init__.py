"""Letting Celery's own tools and Flower look at a worker, and nothing more.

Celery's remote control takes orders as well as questions: it stops workers, grows their pools, has them take
from other queues and revokes tasks. It stays off. Here a worker answers questions from a list, and
tells of its tasks while somebody listens, in threads of its own: nothing of it touches the work.
"""
