"""`comanda dev` on free ports, and the command line beside it; for the checks in this folder."""

import json
import os
import subprocess
import tempfile


class Platform:
    """`comanda dev`, and the command line beside it."""

    def __init__(self, binary, **settings):
        self.binary = binary = os.path.abspath(binary)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("COMANDA_", "AWS_"))}
        for name in ("HTTP", "OPS", "LOCAL_AWS"):
            environment[f"COMANDA_{name}_ADDR"] = "127.0.0.1:0"
        environment.update(settings)
        self.process = subprocess.Popen(
            [binary, "dev", "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the platform did not start")
        self.ready = json.loads(line)
        self.environment = dict(
            environment,
            AWS_ENDPOINT_URL=f"http://{self.ready['aws']}",
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_REGION="us-east-1",
        )

    def run(self, *arguments):
        done = subprocess.run(
            [self.binary, *arguments, "--json"], env=self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def sample(self, merchant, kind):
        return json.loads(self.run("order", "place", "--merchant", merchant, "--type", kind))["orderId"]

    def place(self, message):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(message))
            file.flush()
            self.run("order", "place", "--file", file.name)

    def update(self, order, code, metadata=None):
        extra = ["--metadata", json.dumps(metadata)] if metadata else []
        self.run("order", "update", order, code, *extra)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
