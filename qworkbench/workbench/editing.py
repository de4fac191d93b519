"""Edits of a workbench: checked against the model, applied as one step, undone and made again."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from qworkbench.calibration.preprocess import CHANNELS
from qworkbench.errors import EditError, QWorkbenchWarning, unknown_name
from qworkbench.graph.batching import check_batching
from qworkbench.graph.input_order import check_order
from qworkbench.graph.ir import Graph
from qworkbench.placement.sharing import calls_of_modules
from qworkbench.placement.types import Placement
from qworkbench.workbench.config import Config, difference
from qworkbench.workbench.edits import (
    ClearScale,
    Edit,
    FixScale,
    InsertUnitConv,
    RemoveUnitConv,
    SetBatch,
    SetInputDtype,
    SetInputOrder,
    SetNodeCalibration,
    SetPreprocess,
    SplitModule,
    check_contradictions,
)
from qworkbench.workbench.history import Entry, History
from qworkbench.workbench.holding import Holding
from qworkbench.workbench.scale_hints import scale_hints


class Editing(Holding):
    """A workbench that can be edited."""

    def edit(self, *edits: Edit) -> Placement:
        """Apply `edits` as one step of the history and return the new placement.

        Nothing is emulated; call :meth:`run` or :meth:`run_async`.

        Raises
        ------
        QWorkbenchError
            When an edit is wrong, does not fit the model, or contradicts another one of the same call; the workbench
            is then unchanged.

        Warns
        -----
        QWorkbenchWarning
            For a fixed scale that is far off what calibration measured, and for an image input declared otherwise than
            the calibration files were read; both are set all the same.
        """
        if not edits:
            raise EditError("edit() needs at least one edit, e.g. SetPlacement('softmax', 'bpu')")
        check_contradictions(edits)
        with self._lock:
            config = self.config
            made: list[Edit] = []
            for given in edits:
                self._check_node(given, config)
                edit = self._in_one_form(given, config)
                config = edit.apply(config)
                self._check_effect(edit, config)
                made.append(edit)
            placement = self._stages.placement(config)
            now = self.config
            if self._stages.statistics is not None and (config.calibration, config.methods) != (
                now.calibration,
                now.methods,
            ):
                self._stages.plan(config)
            self._history.push(tuple(made), config)
            hints = scale_hints(self._stages, config, [edit.node for edit in made if isinstance(edit, FixScale)])
            hints += self._read_otherwise(config, [edit.node for edit in made if isinstance(edit, SetPreprocess)])
        for hint in hints:
            warnings.warn(hint, QWorkbenchWarning, stacklevel=2)
        self._publish("edited", None)
        return placement

    def _read_otherwise(self, config: Config, names: list[str]) -> list[str]:
        """Return one sentence for each of `names` that calibration read from files under another declaration."""
        read = self._read_as
        said = {name: declared.describe() for name, declared in config.inputs.items()}
        return [
            f"calibration read the files of input {name!r} under another declaration, and its thresholds hold for that "
            "one: %qwb calibrate FOLDER/ again, or wb.calibrate(folder)"
            for name in names
            if read is not None and (read[name].describe() if name in read else None) != said.get(name)
        ]

    def _check_node(self, edit: Edit, config: Config) -> None:
        name = getattr(edit, "node", None)
        graph = self._stages.graph(config)
        if isinstance(edit, SplitModule):
            shared = calls_of_modules(graph)
            if edit.module not in shared:
                raise unknown_name("shared module", edit.module, shared)
        if name is None:
            return
        # a model input has a scale, but nothing else that could be edited
        if isinstance(edit, SetPreprocess):
            self._check_input(edit)
            return
        scaled = isinstance(edit, (FixScale, ClearScale, SetNodeCalibration))
        known = (*graph.nodes.names(), *(graph.inputs if scaled else ()))
        if name not in known:
            raise unknown_name("node", name, known)

    def _check_input(self, edit: SetPreprocess) -> None:
        """Refuse a declaration that does not fit the model's input."""
        graph = self._stages.base
        if edit.node not in graph.inputs:
            raise unknown_name("model input", edit.node, graph.inputs)
        if edit.rt == "auto" or not edit.declared.is_image:
            return
        shape, channels = graph.shape(edit.node), CHANNELS[edit.train]
        edit.declared.size_of(shape)
        found = shape[1] if edit.layout == "NCHW" else shape[3]
        if found != channels:
            told = "x".join(map(str, shape))
            raise EditError(
                f"input {edit.node!r} is {told} ({edit.layout}), but {edit.train} has {channels} "
                f"channel{'' if channels == 1 else 's'}; check the type and the layout"
            )

    def _in_one_form(self, edit: Edit, config: Config) -> Edit:
        """Leave the slot out where a node has one data input only, so that one place has one name."""
        if isinstance(edit, (InsertUnitConv, RemoveUnitConv)) and edit.where == "before" and edit.slot is not None:
            graph = self._stages.graph(config)
            node = graph.nodes[edit.node]
            slots = [slot for slot, value in enumerate(node.inputs) if graph.is_activation(value)]
            if slots == [edit.slot]:
                return replace(edit, slot=None)
        return edit

    def _check_effect(self, edit: Edit, config: Config) -> None:
        """Refuse a fixed scale that has no quantized tensor to act on, a batch and an input order that do not fit."""
        graph = self._stages.graph(config)
        if isinstance(edit, SetBatch):
            check_batching(graph, config.batching)
        if isinstance(edit, SetInputOrder) and edit.names != "auto":
            check_order(graph, config.input_orders[edit.stage])
        if isinstance(edit, SetInputDtype):
            _check_slot(graph, edit.node, edit.slot)
        if not isinstance(edit, FixScale):
            return
        placement = self._stages.placement(config)
        known = edit.node in placement.nodes and placement[edit.node].on != "NONE"
        group = placement.group(placement.unit_of(edit.node).outputs[0] if known else edit.node)
        if group is not None and group.fixed_scale is not None:
            return
        where = placement[edit.node].dtype if edit.node in placement.nodes else "float32"
        why = "leaves the BPU as int32" if where == "int32" else "is float there: it runs on the CPU"
        raise EditError(
            f"scale of {edit.node!r} has nothing to act on: its output {why} and no BPU op reads it quantized"
        )

    def undo(self) -> Entry:
        """Take back the last step; its results are still cached."""
        with self._lock:
            entry = self._history.undo()
        self._publish("edited", None)
        return entry

    def redo(self) -> Entry:
        """Make the step that was undone last again."""
        with self._lock:
            entry = self._history.redo()
        self._publish("edited", None)
        return entry

    def reset(self) -> None:
        """Take back every edit (each can be made again with :meth:`redo`)."""
        with self._lock:
            while self._history.cursor:
                self._history.undo()
        self._publish("edited", None)

    def jump(self, index: int) -> None:
        """Go to step `index` of the journal, 0 being the state at load; steps in between are undone or made again.

        Raises
        ------
        EditError
            When there is no such step.
        """
        with self._lock:
            last = len(self._history.entries)
            if not 0 <= index <= last:
                raise EditError(f"the journal has the steps 0 to {last}, got {index}")
            while self._history.cursor > index:
                self._history.undo()
            while self._history.cursor < index:
                self._history.redo()
        self._publish("edited", None)

    @contextmanager
    def block(self) -> Iterator[None]:
        """Make all edits of a ``with`` block one step; an error inside takes every one of them back.

        Raises
        ------
        EditError
            At the end, when two edits of the block want different things of one setting.
        """
        with self._lock:
            before, statistics, self._held = self._history.mark(), self._stages.statistics, []
        try:
            yield
            with self._lock:
                check_contradictions(self._history.since(before))
                self._history.squash(before)
        except BaseException:
            with self._lock:
                self._history.restore(before)
                if self._stages.statistics is not statistics:
                    self._stages.statistics = statistics
            raise
        finally:
            with self._lock:
                held, self._held = self._held, None
            if held:
                self._publish("edited", None)

    @property
    def can_undo(self) -> bool:
        """Tell whether there is a step to take back."""
        return self._history.cursor > 0

    @property
    def can_redo(self) -> bool:
        """Tell whether there is a step to make again."""
        return self._history.cursor < len(self._history.entries)

    @property
    def journal(self) -> tuple[str, ...]:
        """The steps in force, oldest first, one line each."""
        return tuple(entry.text for entry in self._history.done)

    @property
    def history(self) -> History:
        """The steps themselves, also the undone ones."""
        return self._history

    def diff(self) -> list[str]:
        """Return one line per setting that differs from the state at load."""
        return difference(self._history.initial, self.config)

    def as_code(self) -> str:
        """Return the Python calls that make the state in force from a fresh workbench."""
        steps = (f"wb.edit({', '.join(edit.as_code() for edit in entry.edits)})" for entry in self._history.done)
        return "\n".join(["import qworkbench as q", *steps])


def _check_slot(graph: Graph, name: str, slot: int) -> None:
    inputs = graph.data_inputs(graph.nodes[name])
    if not 0 <= slot < len(inputs):
        raise EditError(f"{name!r} has {len(inputs)} data inputs; slot must lie in 0..{len(inputs) - 1}, got {slot}")
