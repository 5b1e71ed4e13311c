"""Backup and restore of the data directory: one file, whole or not at all."""

from app.backup.checking import Checked, check_backup
from app.backup.making import Made, make_backup
from app.backup.restoring import Restored, restore_backup

__all__ = ["Checked", "Made", "Restored", "check_backup", "make_backup", "restore_backup"]
