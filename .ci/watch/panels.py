"""Asks Prometheus what the dashboard and the alerts ask it.

Fails on an error, on a panel without data, on a panel that is flat at 0 under load unless its health
is to be so, and on an alert that names a series that the server does not have.
"""

import argparse
import json
import math
import pathlib
import re
import time
import urllib.error
import urllib.parse
import urllib.request

DASHBOARD = pathlib.Path("config/grafana/dashboards/mue.json")

# What Grafana puts in; the rate's interval spans some scrapes.
VARIABLES = {"$__rate_interval": "15s", "$instance": ".*", "$task": ".*"}

# 0 is the good news that these bring.
MAY_BE_ZERO = {"Alerts firing", "Failing", "Panics and builds of the model", "Reloads"}

SELECTOR = re.compile(r"\b(?:mue_\w+|up)\b(?:\{[^}]*\})?")


class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{parameters}: {json.load(error).get('error')}") from error

    def samples(self, expression, since):
        """The finite values of all series since then, by the second."""
        answer = self.get("query_range", query=expression, start=since, end=time.time(), step=1)
        values = (float(value) for series in answer["result"] for _, value in series["values"])
        return [value for value in values if math.isfinite(value)]


def filled_in(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    # $1 is a regular expression's group.
    assert not re.search(r"\$\D", expression), f"unknown variable in {expression}"
    return expression


def complaints_of_panel(panel, prometheus, since):
    title = panel["title"]
    if not panel.get("description"):
        yield f"{title}: no description"
    values = []
    for target in panel["targets"]:
        found = prometheus.samples(filled_in(target["expr"]), since)
        if not found:
            yield f"{title}: no data for {target['expr']}"
        values += found
    if title not in MAY_BE_ZERO and values and not any(values):
        yield f"{title}: always 0 under load"


def complaints_of_layout(panels):
    cells = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or cells.setdefault((x, y), panel["title"]) != panel["title"]:
                    yield f"{panel['title']}: overlaps {cells.get((x, y))}"
                    return


def complaints_of_alert(rule, prometheus, since):
    if rule["health"] != "ok":
        yield f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
    for selector in SELECTOR.findall(rule["query"]):
        if not prometheus.samples(f"count({selector})", since):
            yield f"{rule['name']}: nothing is called {selector}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prometheus")
    parser.add_argument("--since", type=float, required=True, help="when the load began, in seconds since 1970")
    args = parser.parse_args()
    prometheus = Prometheus(args.prometheus)

    panels = json.loads(DASHBOARD.read_text())["panels"]
    charts = [panel for panel in panels if panel["type"] != "row"]
    [group] = prometheus.get("rules")["groups"]
    complaints = list(complaints_of_layout(panels))
    for panel in charts:
        complaints += complaints_of_panel(panel, prometheus, args.since)
    for rule in group["rules"]:
        complaints += complaints_of_alert(rule, prometheus, args.since)
    if complaints:
        raise SystemExit("\n".join(complaints))
    expressions = sum(len(panel["targets"]) for panel in charts)
    print(f"{len(charts)} panels ({expressions} expressions) and {len(group['rules'])} alerts have data")


if __name__ == "__main__":
    main()
