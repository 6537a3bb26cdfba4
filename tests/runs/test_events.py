import pytest

from autoprune.errors import AutoPruneError, UsageError
from autoprune.runs.events import VERSION, EventLog, read_events


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def emit(path, *pairs):
    log = EventLog(path)
    for key, text in pairs:
        log.emit("notice", key, text=text)
    log.close()


def test_events_come_back_in_order_with_version_and_time(path):
    emit(path, ("a", "one"), ("b", "two"))
    events = list(read_events(path))
    assert [event.data["text"] for event in events] == ["one", "two"]
    assert {event.version for event in events} == {VERSION}
    assert events[0].time <= events[1].time


def test_a_key_is_written_once_even_by_a_later_process(path):
    emit(path, ("a", "one"), ("a", "again"))
    emit(path, ("a", "and again"))
    assert [event.data["text"] for event in read_events(path)] == ["one"]


def test_a_line_cut_by_a_crash_is_dropped_and_the_next_event_readable(path):
    emit(path, ("a", "one"))
    with path.open("a") as file:
        file.write('{"version":1,"key":"b","ti')
    assert len(list(read_events(path))) == 1
    emit(path, ("c", "three"))
    assert [event.key for event in read_events(path)] == ["a", "c"]


def test_text_with_line_breaks_and_control_characters_stays_on_its_line(path):
    text = "a\n\r\u2028\x00\x1b[31m\udcffb"
    emit(path, ("a", text.encode("utf-8", "replace").decode()))
    assert len(path.read_bytes().splitlines()) == 1
    assert next(read_events(path)).data["text"].startswith("a\n\r\u2028\x00")


def test_a_foreign_line_is_named_with_its_number(path):
    path.write_text('{"no": "event"}\n')
    with pytest.raises(AutoPruneError, match="line 1 is not an event"):
        list(read_events(path))


def test_listeners_hear_each_event_once(path):
    heard = []
    log = EventLog(path)
    log.listen(heard.append)
    log.emit("notice", "a", text="x")
    log.emit("notice", "a", text="x")
    log.close()
    assert [event.key for event in heard] == ["a"]


def test_an_event_with_more_fields_is_readable(path):
    path.write_text('{"version":1,"key":"a","time":"t","kind":"notice","data":{"text":"x","more":1},"extra":1}\n')
    assert next(read_events(path)).data["text"] == "x"


def test_an_event_of_a_newer_version_is_said_to_be_newer_whatever_is_in_it(path):
    for line in ('{"version":7,"key":"a","time":"t","kind":"notice","data":{}}', '{"version":7,"what":"else"}'):
        path.write_text(line + "\n")
        with pytest.raises(UsageError, match=r"events\.jsonl was written by a newer autoprune \(format 7, .* 1\)"):
            list(read_events(path))
