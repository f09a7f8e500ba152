"""Asks a server for some time what clients ask: good and bad requests, impatient ones, and too many."""

import argparse
import base64
import concurrent.futures
import http.client
import itertools
import json
import pathlib
import random
import time
import urllib.parse

TEXTS = ["there is a red circle", "there are two squares", "the cross is left of the ring"]


class Client:
    """One caller, with its own random choices."""

    def __init__(self, server, pictures, seed):
        self.server = urllib.parse.urlsplit(server).netloc
        self.pictures = pictures
        self.random = random.Random(seed)
        self.answers = {}

    def picture(self):
        return self.random.choice(self.pictures)

    def exit(self):
        """Thresholds are ever new, so that pictures are encoded as well as found in the cache."""
        thresholds = {"image": self.random.uniform(0.8, 0.99), "text": 0.9, "decoder": 0.95}
        return self.random.choice(["auto", "auto", "off", {"quality": 0.9}, thresholds])

    def ask(self, path, body, read=True):
        """Posts JSON, or bytes as they are; without `read`, hangs up before the answer."""
        connection = http.client.HTTPConnection(self.server, timeout=30)
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, body, {"content-type": "application/json"})
        if read:
            response = connection.getresponse()
            response.read()
            self.answers[response.status] = self.answers.get(response.status, 0) + 1
            if response.status == 429:
                time.sleep(0.05)
        connection.close()

    def caption(self, **more):
        self.ask("/v1/caption", {"image": self.picture(), "exit": self.exit()} | more)

    def beams(self):
        self.caption(beam_size=3)

    def stream(self):
        self.caption(stream=True)

    def list(self):
        self.ask("/v1/caption", {"images": [self.picture() for _ in range(4)], "beam_size": 1})

    def entailment(self):
        body = {"image": self.picture(), "hypotheses": TEXTS, "exit": self.exit()}
        self.ask("/v1/entailment", body)

    def impatient(self):
        """A deadline that passes while others are served."""
        self.ask("/v1/entailment", {"image": self.picture(), "hypotheses": TEXTS, "deadline_ms": 2})

    def hang_up(self):
        """Long work that nobody waits for."""
        images = [self.picture() for _ in range(6)]
        self.ask("/v1/caption", {"images": images, "beam_size": 1, "exit": "off"}, read=False)

    def mistake(self):
        bad = [b"{", {"image": "AAAA"}, {"image": self.picture(), "exit": "perhaps"}, {"images": []}]
        self.ask("/v1/caption", self.random.choice(bad))
        self.ask("/v1/nothing", {})

    def too_much(self):
        """More rows than may ever wait."""
        self.ask("/v1/caption", {"images": [self.picture()] * 8, "beam_size": 8})

    def run(self, until):
        kinds = [self.caption, self.beams, self.stream, self.list, self.entailment,
                 self.impatient, self.hang_up, self.mistake, self.too_much]
        for ask in itertools.cycle(self.random.sample(kinds, len(kinds))):
            if time.monotonic() > until:
                break
            ask()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("scenes", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--metrics", type=pathlib.Path, help="write the server's metrics here afterwards")
    args = parser.parse_args()

    files = sorted(args.scenes.rglob("*.png"))
    pictures = [base64.b64encode(file.read_bytes()).decode() for file in files]
    # Before the crowd, whose full queue might refuse all of this.
    loner = Client(args.server, pictures, seed=-1)
    for _ in range(5):
        loner.hang_up()
        time.sleep(0.2)

    until = time.monotonic() + args.seconds
    clients = [Client(args.server, pictures, seed) for seed in range(16)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as callers:
        # A connection that breaks is a failure of the server: its exception is raised here.
        for called in [callers.submit(client.run, until) for client in clients]:
            called.result()

    answers = {}
    for client in clients:
        for status, count in client.answers.items():
            answers[status] = answers.get(status, 0) + count
    print("answers by status:", dict(sorted(answers.items())))
    missing = {200, 400, 404, 422, 429, 504} - answers.keys()
    assert not missing, f"no answer with {missing}"
    assert not answers.keys() & {500, 503}, "the server failed"
    if args.metrics:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(args.server).netloc, timeout=30)
        connection.request("GET", "/metrics")
        args.metrics.write_bytes(connection.getresponse().read())


if __name__ == "__main__":
    main()
