"""A workbench made of plain data, and a comm that records: the widget's whole world without a kernel or a browser."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from comm.base_comm import BaseComm

from qworkbench.errors import EditError, unknown_name

VIEW = json.loads((Path(__file__).parents[1] / "fixtures" / "view.json").read_text(encoding="utf-8"))


class RecordingComm(BaseComm):
    """Stands in for the page: keeps what is sent to it, and sends what a page would."""

    def __init__(self, *args, **kwargs):
        self.log = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        json.dumps(data, allow_nan=False)  # what Jupyter does with it
        self.log.append((msg_type, data))

    def update(self, **state):
        self.handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})

    def custom(self, content):
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    def updates(self, trait):
        sent = (data["state"] for kind, data in self.log if kind == "comm_msg" and data.get("method") == "update")
        return [state[trait] for state in sent if trait in state]


class FakeJob:
    def __init__(self):
        self.running = True
        self.cancelled = False


class FakeWorkbench:
    """Behaves like a workbench that runs nothing: jobs end when the test publishes their end."""

    title = "DigitsNet on bayes-e"
    march = "bayes-e"
    statistics = object()

    def __init__(self):
        self.calls = []
        self.display = {}
        self.done, self.undone = [], []
        self.listeners = []
        self.ran = False
        self.jobs = []
        self.findings = {}
        self.nodes = {node["id"] for node in VIEW["nodes"] if node["kind"] == "op"}

    can_undo = property(lambda self: bool(self.done))
    can_redo = property(lambda self: bool(self.undone))
    stale = property(lambda self: not self.ran)

    def view(self, collapsed=None):
        for module in collapsed or ():
            if module not in VIEW["modules"]:
                raise unknown_name("module", module, VIEW["modules"])
        return {**VIEW, "collapsed": sorted(collapsed or ())}

    def node_details(self, name):
        if name not in self.nodes:
            raise unknown_name("node", name, self.nodes)
        return {"name": name, "op": "Softmax", "metrics": {"sqnr": float("inf"), "cosine": float("nan")}}

    def output_rows(self):
        cosine = 0.9931 if self.ran else float("nan")
        return [{"output": "probabilities", "cosine": cosine, "cosine_before": None}]

    def journal_rows(self):
        return [{"index": i, "text": e.describe(), "current": i == len(self.done) - 1} for i, e in enumerate(self.done)]

    def node_rows(self):
        return [{"id": name, "on": "BPU"} for name in sorted(self.nodes)]

    def settings_row(self):
        return {"march": self.march, "marches": [self.march], "method": "max", "methods": ["max"], "searches": []}

    def input_rows(self):
        return [{"name": "image", "shape": ["1", "1", "8", "8"], "declared": None}]

    def holds(self, analysis):
        return analysis in self.findings

    def as_code(self):
        return "import qworkbench as q"

    def edit(self, *edits):
        if not edits:
            raise EditError("edit() needs at least one edit")
        for edit in edits:
            if edit.node not in self.nodes:
                raise unknown_name("node", edit.node, self.nodes)
        self.done += edits
        self.ran = False
        self.publish("edited")

    def undo(self):
        if not self.done:
            raise EditError("nothing to undo")
        self.undone.append(self.done.pop())
        self.publish("edited")

    def redo(self):
        self.done.append(self.undone.pop())
        self.publish("edited")

    def reset(self):
        while self.done:
            self.undone.append(self.done.pop())
        self.publish("edited")

    def run_again_async(self):
        for job in self.jobs:
            job.cancelled = True
        self.jobs.append(FakeJob())
        self.publish("running")
        return self.jobs[-1]

    def cancel(self):
        self.jobs[-1].cancelled = True

    def subscribe(self, listener):
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def publish(self, event, data=None):
        for listener in list(self.listeners):
            listener(event, data)

    def finish(self, overflow=()):
        self.ran = True
        self.publish(
            "ran", SimpleNamespace(computed=("a", "b"), steps=16, compared=5, overflow=dict.fromkeys(overflow, 1))
        )
        self.jobs[-1].running = False
