"""All targets by name."""

from tests.fuzz import of_files, of_messages, of_replies, of_results, of_servers, of_texts
from tests.fuzz.runner import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (of_texts, of_messages, of_servers, of_replies, of_results, of_files)
    for target in module.TARGETS
}
