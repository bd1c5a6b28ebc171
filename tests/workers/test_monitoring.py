"""The example alert rules and the dashboard: Prometheus takes them, and each rule is tried both ways."""

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

import workers
from tests.conftest import missing

MONITORING = Path(workers.__path__[0]) / "monitoring"


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool_takes_the_alerts(command: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("promtool is not here (Debian: apt-get install prometheus)")
    ran = subprocess.run([promtool, *command], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_is_tried_where_it_fires_and_where_it_is_silent() -> None:
    tried: dict[str, set[bool]] = defaultdict(set)
    for test in yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]:
        for one in test["alert_rule_test"]:
            tried[one["alertname"]].add(bool(one["exp_alerts"]))
    assert tried == {rule["alert"]: {True, False} for rule in rules()}


def test_each_alert_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["description"].endswith("."), rule["alert"]


def test_the_dashboard_takes_any_prometheus_and_its_panels_do_not_overlap() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    (variable,) = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        where = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
