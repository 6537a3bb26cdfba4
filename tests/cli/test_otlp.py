"""`autoprune trace --otlp`: what a real collector over HTTP receives."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.collector_server import CollectorServer
from tests.report.html.made_up import HOSTILE, MadeUp


@pytest.fixture
def collector() -> Iterator[CollectorServer]:
    with CollectorServer() as server:
        yield server


def facts(span):
    return {fact.key: getattr(fact.value, fact.value.WhichOneof("value")) for fact in span.attributes}


def test_a_run_arrives_as_one_tree_with_tokens_and_perplexities(here, recorded, collector):
    done = here("trace", recorded, "--otlp", collector.url)
    assert done.stdout == f"{len(collector.spans)} spans sent to {collector.url}/v1/traces\n", done.stderr
    known = {span.span_id: span for span in collector.spans}
    assert len(known) == len(collector.spans)
    assert len({span.trace_id for span in collector.spans}) == 1
    roots = [span for span in collector.spans if not span.parent_span_id]
    assert [root.name for root in roots] == ["autoprune search"]
    for span in collector.spans:
        above = known.get(span.parent_span_id, roots[0])
        assert roots[0].start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= above.end_time_unix_nano, (span.name, above.name)
    chats = [facts(span) for span in collector.spans if span.name.startswith("chat ")]
    assert sum(chat["gen_ai.usage.input_tokens"] for chat in chats) > 0
    spent = facts(roots[0])["autoprune.tokens"]
    assert spent == sum(chat["gen_ai.usage.input_tokens"] + chat["gen_ai.usage.output_tokens"] for chat in chats)
    assert {chat["gen_ai.agent.name"] for chat in chats} == {"proposer", "critic", "analyst"}
    measured = [facts(span) for span in collector.spans if facts(span).get("autoprune.status") == "measured"]
    assert measured
    assert all(candidate["autoprune.perplexity"] > 1 for candidate in measured)


def test_hostile_text_arrives_without_control_characters(here, collector, tmp_path):
    run = MadeUp(tmp_path / "run", 4, blocks=2, said=HOSTILE).run
    assert here("trace", str(run.path), "--otlp", collector.url).returncode == 0
    texts = [text for span in collector.spans for text in facts(span).values() if isinstance(text, str)]
    texts += [fact.value.string_value for span in collector.spans for told in span.events for fact in told.attributes]
    texts += [span.status.message for span in collector.spans]
    assert sum("<script>alert(1)</script>" in text for text in texts) > 8
    assert not [text for text in texts if re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)]


def test_sent_again_the_spans_have_the_same_ids(here, recorded, collector):
    for _ in range(2):
        assert here("trace", recorded, "--otlp", f"{collector.url}/my/path").returncode == 0
    ids = [(span.trace_id, span.span_id) for span in collector.spans]
    assert sorted(ids[: len(ids) // 2]) == sorted(ids[len(ids) // 2 :])
    assert {path for path, _ in collector.requests} == {"/my/path"}


def test_following_sends_each_span_and_prints_the_lines(here, recorded, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    done = here("trace", recorded, "--follow", "--otlp", collector.url)
    assert done.returncode == 0, done.stderr
    assert "search ended" in done.stdout
    assert len(collector.requests) > 10
    assert {headers["x-key"] for _, headers in collector.requests} == {"secret"}
    followed = {span.span_id for span in collector.spans}
    collector.spans.clear()
    here("trace", recorded, "--otlp", collector.url)
    assert {span.span_id for span in collector.spans} == followed


def test_an_unfinished_run_and_one_of_version_1_arrive_too(here, recorded, collector, tmp_path):
    run = tmp_path / "cut"
    run.mkdir()
    shutil.copy(Path(recorded) / "config.yaml", run)
    lines = (Path(recorded) / "events.jsonl").read_bytes().splitlines(keepends=True)
    (run / "events.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert here("trace", "cut", "--otlp", collector.url).returncode == 0
    assert any(facts(span).get("autoprune.unfinished") for span in collector.spans)
    shutil.copy(Path(__file__).parent.parent / "runs" / "v1" / "events.jsonl", run)
    assert here("trace", "cut", "--otlp", collector.url).returncode == 0


def test_a_collector_that_refuses_or_is_down_is_one_line_and_exit_1(here, recorded, collector):
    collector.status = 403
    done = here("trace", recorded, "--otlp", collector.url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"autoprune: the collector at {collector.url}/v1/traces did not accept the spans: ")
    assert "403" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    down = here("trace", recorded, "--otlp", "http://127.0.0.1:9")
    assert (down.returncode, len(down.stderr.splitlines())) == (1, 1)
    assert "Connection refused" in down.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--otlp", "localhost"], "is not an address such as http://localhost:4318"),
        (["g1", "--otlp", "http://localhost:4318"], "--otlp sends the whole run"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(here, recorded, words, complaint):
    done = here("trace", recorded, *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert complaint in done.stderr


def test_without_the_extra_the_line_says_how_to_get_it(here, recorded, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    done = here("trace", recorded, "--otlp", "http://localhost:4318")
    assert done.returncode == 2
    assert done.stderr == "autoprune: --otlp needs the extra otel: pip install 'autoprune[otel]'\n"
