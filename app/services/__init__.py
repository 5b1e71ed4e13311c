"""The embedded services: a Redis and the local workers, under a supervisor that restarts what dies."""

from app.services.lifecycle import DownResult, UpResult, down, is_up, up
from app.services.programs import Program, default_programs
from app.services.redis_server import RedisServer, find_server, serve_redis
from app.services.state import ProgramStatus, RedisStatus, ServicesStatus, status

__all__ = [
    "DownResult",
    "Program",
    "ProgramStatus",
    "RedisServer",
    "RedisStatus",
    "ServicesStatus",
    "UpResult",
    "default_programs",
    "down",
    "find_server",
    "is_up",
    "serve_redis",
    "status",
    "up",
]
