"""What is handed out for Prometheus and Grafana names only what a real scrape has; the docs list all."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis

from app.metrics.page import metrics_table
from tasks.circuit import load_circuit, save_circuit
from tasks.exchange import Exchange
from tasks.homes import announce_home
from tasks.ledger import Ledger
from tasks.metrics.declared import HOME_METRICS, WORKER_METRICS, Kind
from tasks.settings import Settings
from tests.api import api_client
from tests.metrics import announce_workers, full_worker_page, parsed
from tests.pool_worker import url_of
from tests.system import ROOT

FOLDER = ROOT / "docs" / "monitoring"
PAGE = ROOT / "docs" / "monitoring.md"
OF_PROMETHEUS = {"up": {"job", "instance"}}
TARGET = {"job", "instance"}
"""Labels that Prometheus adds to every series."""
# fmt: off
WORDS = frozenset((
    "sum", "min", "max", "avg", "count", "rate", "increase", "histogram_quantile", "predict_linear",
    "avg_over_time", "min_over_time", "by", "on", "without", "ignoring", "and", "or", "unless", "bool",
))
# fmt: on
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*""')
_NAME = re.compile(r"(?<![\w.$])[a-zA-Z_:][\w:]*")


def named(expression: str) -> tuple[set[str], dict[str, set[str]], set[str]]:
    """The metrics that a PromQL expression names, the labels it matches of each, and those it groups by."""
    bare = _STRING.sub('""', expression)
    matched: dict[str, set[str]] = {}
    for name, matchers in _SELECTOR.findall(bare):
        matched.setdefault(name, set()).update(_MATCHER.findall(matchers))
    grouped = {label.strip() for labels in _GROUPING.findall(bare) for label in labels.split(",")}
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", _GROUPING.sub("", bare))
    names = {name for name in _NAME.findall(rest) if name not in WORDS}
    return names, matched, grouped


def test_names_are_found_in_expressions() -> None:
    rate = 'sum by (queue) (rate(a_total{x="b{c}", y=~"d|e"}[$__rate_interval]))'
    expression = f"{rate} / on (queue) 2e9 * f > 12 * 3600"
    assert named(expression) == ({"a_total", "f"}, {"a_total": {"x", "y"}}, {"queue"})


@pytest.fixture
def said(redis: Redis, tmp_path: Path) -> dict[str, set[str]]:
    """Each name on the pages of a home and of a worker, with the labels that its series have."""
    settings = Settings(data_dir=tmp_path / "data", redis_url=url_of(redis))
    announce_workers(Exchange(redis))
    with Ledger.open(settings) as ledger:
        announce_home(Exchange(redis), ledger.home)
        save_circuit(ledger, load_circuit(ledger).succeeded())
    with api_client(settings) as api:
        pages = (api.get("/metrics").content, full_worker_page())
    names: dict[str, set[str]] = {name: {*labels} for name, labels in OF_PROMETHEUS.items()}
    for page in pages:
        for name, labels in parsed(page).samples:
            names.setdefault(name, set(TARGET)).update(label for label, _ in labels)
    return names


def rules() -> list[dict[str, Any]]:
    parsed_rules = yaml.safe_load((FOLDER / "shoebox.rules.yml").read_text(encoding="utf-8"))
    return [rule for group in parsed_rules["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return board


def expressions() -> Iterator[tuple[str, str, set[str]]]:
    """Where each expression stands, it itself, and the labels that its words show."""
    shown = re.compile(r"\$labels\.(\w+)")
    for rule in rules():
        yield rule["alert"], rule["expr"], {*shown.findall(json.dumps(rule["annotations"]))}
    legend = re.compile(r"\{\{(\w+)\}\}")
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], {*legend.findall(target["legendFormat"])}


def test_rules_and_dashboard_name_only_what_is_said(said: dict[str, set[str]]) -> None:
    named_somewhere: set[str] = set()
    for where, expression, shown in expressions():
        names, matched, grouped = named(expression)
        assert names, where
        assert names <= said.keys(), f"{where}: {names - said.keys()}"
        labels = {label for name in names for label in said[name]}
        for name, wanted in matched.items():
            assert wanted <= said[name], f"{where}: {name} has no {wanted - said[name]}"
        assert grouped <= labels, f"{where}: {grouped - labels}"
        # After an aggregation only what it groups by is left to be shown.
        is_aggregated = re.search(r"\b(sum|min|max)\b", expression) and not re.search(r"\bon \(", expression)
        assert shown <= (grouped if is_aggregated else labels), f"{where}: {shown}"
        named_somewhere |= {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    known = {metric.name for metric in HOME_METRICS}
    quiet = {"shoebox_build_info", "shoebox_gpus", "shoebox_data_size_bytes", "shoebox_queue_alert"}
    quiet |= {"shoebox_collected_timestamp_seconds"}
    assert known - named_somewhere <= quiet


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found)
    page = PAGE.read_text(encoding="utf-8")
    for rule in found:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"].endswith(".") and rule["annotations"]["remedy"].endswith(".")
        assert f"`{rule['alert']}`" in page
        counters = {m.name for m in (*HOME_METRICS, *WORKER_METRICS) if m.kind is Kind.COUNTER}
        for name in named(rule["expr"])[0] & counters:  # a count since the beginning tells nothing
            assert re.search(rf"(rate|increase)\({name}\b", rule["expr"]), rule["alert"]


def test_commands_in_remedies_are_there() -> None:
    from app.cli import shoebox

    commands = {name for rule in rules() for name in re.findall(r"run\.sh (\w+)", str(rule["annotations"]))}
    assert commands and commands <= shoebox.commands.keys()


def test_the_dashboard_can_be_imported() -> None:
    board = dashboard()
    assert [one["name"] for one in board["__inputs"]] == ["DS_PROMETHEUS"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${DS_PROMETHEUS}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", " ".join(expression for _, expression, _ in expressions())))
    assert used - {"__rate_interval"} <= variables


def test_the_sample_scrapes_what_the_settings_serve() -> None:
    sample = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in sample["scrape_configs"]}
    assert jobs["shoebox"] == [f"127.0.0.1:{Settings().api_port}"]
    assert [target.partition(":")[0] for target in jobs["shoebox-workers"]] == ["127.0.0.1"] * 3
    assert all((FOLDER / name).is_file() for name in sample["rule_files"])
    wanted = set(
        re.findall(r'job="([^"]+)"', json.dumps([rule["expr"] for rule in rules()]).replace("\\", ""))
    )
    assert wanted == set(jobs)


def test_the_docs_list_every_metric() -> None:
    page = PAGE.read_text(encoding="utf-8")
    remedy = "make it anew: python -m app.metrics.page docs/monitoring.md"
    assert all(metrics_table(name) in page for name in ("home", "worker")), remedy


def test_expressions_in_the_docs_name_what_is_said(said: dict[str, set[str]]) -> None:
    block = PAGE.read_text(encoding="utf-8").partition("Some questions:\n")[2].partition("\n## ")[0]
    lines = [line.partition("#")[0] for line in block.splitlines() if line.strip()]
    assert lines and {name for line in lines for name in named(line)[0]} <= said.keys()
