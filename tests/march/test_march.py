from __future__ import annotations

import subprocess
import sys

import pytest

from qworkbench.errors import UnknownNameError
from qworkbench.graph.vocabulary import OPS
from qworkbench.march import MARCHES, get_march, march_page
from qworkbench.march.clauses import describe
from qworkbench.march.page import constraint_words
from qworkbench.march.row import OpRow
from qworkbench.march.table import table
from tests.march.builder import one


@pytest.mark.parametrize("spelling", ["bayes-e", "bayes_e", "BAYES_E", "March.BAYES_E", "Bayes-E"])
def test_a_march_is_found_under_every_spelling_of_the_tools(spelling: str) -> None:
    assert get_march(spelling).name == "bayes-e"


def test_an_unknown_march_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no march 'bernouli2'; did you mean 'bernoulli2'"):
        get_march("bernouli2")


@pytest.mark.parametrize("march", MARCHES)
def test_every_operator_of_the_vocabulary_has_a_row(march: str) -> None:
    assert set(OPS) - set(get_march(march).rows) == set()


@pytest.mark.parametrize("march", MARCHES)
def test_an_operator_that_no_row_names_is_not_supported_and_says_so(march: str) -> None:
    found = get_march(march)
    graph = one("FancyOp", (1, 8, 4, 4)).graph()
    support = found.supports(graph, graph.nodes["fancyop0"])
    assert not support.ok
    assert support.text == f"FancyOp is not on the BPU (the operator list of {march} does not name it)"


@pytest.mark.parametrize("march", MARCHES)
def test_rows_are_consistent(march: str) -> None:
    for row in get_march(march).rows.values():
        if row.supported == "no":
            assert not row.clauses
            assert not row.input_dtypes
        if row.supported == "yes":
            assert not row.clauses
        if row.quant_class in ("active", "passive", "manual") and row.supported != "no":
            assert {"int8", "float16"} & set(row.input_dtypes)
        assert row.source


def test_an_operator_named_twice_is_refused() -> None:
    row = OpRow("Relu", "yes")
    with pytest.raises(ValueError, match="two rows for Relu"):
        table("a list", (row,), (row,))


def test_a_row_of_which_nothing_is_known_does_not_run_and_says_so() -> None:
    from dataclasses import replace

    march = replace(get_march("bayes-e"), rows={"Relu": OpRow("Relu", "unknown", basis="unknown")})
    graph = one("Relu", (1, 8, 4, 4)).graph()
    support = march.supports(graph, graph.nodes["relu0"])
    assert not support.ok
    assert support.text == "Relu: no public list says whether the BPU has it, assumed on the CPU"


def test_support_reads_as_one_sentence() -> None:
    graph = one("ArgMax", (1, 65, 8, 8), out=(1, 65, 1, 8), axis=2).graph()
    support = get_march("bayes").supports(graph, graph.nodes["argmax0"])
    assert support.text == "ArgMax: axis = 2, must be 1; input_c = 65 > 64"
    graph = one("Abs", (1, 65, 8, 8)).graph()
    assert get_march("bayes").supports(graph, graph.nodes["abs0"]).text == "Abs meets the constraints"


@pytest.mark.parametrize("march", MARCHES)
def test_parameters_have_the_same_names_on_every_march(march: str) -> None:
    assert get_march(march).parameters.keys() == get_march("bayes-e").parameters.keys()
    with pytest.raises(UnknownNameError, match=f"no parameter of march {march} 'tail_opz'; did you mean 'tail_ops'"):
        get_march(march).parameter("tail_opz")


def test_ops_of_the_tail_list_its_dtype_among_their_outputs() -> None:
    for march in map(get_march, MARCHES):
        tail = march.parameter("tail_dtype")
        with_tail = {row.op for row in march.rows.values() if tail in row.output_dtypes}
        assert with_tail == set(march.parameter("tail_ops"))


@pytest.mark.parametrize("name", MARCHES)
def test_the_page_shows_what_is_checked(name: str) -> None:
    march = get_march(name)
    page = march_page(march)
    for row in march.rows.values():
        assert f"| {row.op} |" in page
        if row.supported == "unknown":
            assert row.assumption in page
        elif row.supported != "no":
            assert constraint_words(row) in page
    for clause in march.general:
        assert f"- {describe(clause)}" in page
    for parameter in (*march.parameters, *march.figures):
        assert f"| {parameter} |" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith(("| Conv ", "| Add "))}
    assert widths == {8}


def test_importing_the_tables_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, qworkbench.march; print(sorted({'torch', 'numpy', 'networkx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
