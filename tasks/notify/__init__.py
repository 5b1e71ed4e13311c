"""Telling people and programs outside: the outbox, the webhook, the desktop, the daily digest."""
