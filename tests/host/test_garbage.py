"""When the garbage collector is off, and when it is on again."""

import gc
import weakref

import pytest
from processes import python

from lai.host import garbage


@pytest.fixture
def collector(monkeypatch):
    """The collector as a program starts with it; put back as it was."""
    monkeypatch.setattr(garbage.atexit, "register", lambda function: None)
    yield gc
    gc.unfreeze()
    gc.enable()


def test_it_is_off_until_it_is_turned_on_again(collector):
    garbage.defer_garbage_collection()
    assert not collector.isenabled()
    garbage.collect_garbage_again()
    assert collector.isenabled()


def test_what_was_made_meanwhile_is_not_looked_through(collector):
    garbage.defer_garbage_collection()
    imported = [{}]
    garbage.collect_garbage_again()
    made = [{}]
    tracked = {id(found) for found in collector.get_objects()}
    assert id(imported) not in tracked
    assert id(made) in tracked


def test_a_collector_that_the_caller_turned_off_stays_off(collector):
    collector.disable()
    garbage.collect_garbage_again()
    assert not collector.isenabled()


def test_the_training_program_collects_garbage_while_it_trains(tmp_path):
    code = (
        "import gc, sys\n"
        "import lai.train\n"
        "from lai.run import launch\n"
        "lai.train.take_from_launcher = lambda run: (print('collects:', gc.isenabled()), sys.exit())\n"
        "sys.argv = ['lai-train', 'device=cpu']\n"
        "lai.train.main()\n"
    )
    assert "collects: True" in python("-c", code, cwd=tmp_path).stdout


def test_what_refers_to_itself_is_freed_and_nothing_before_it_is_looked_through(collector):
    class Thing:
        pass

    collector.disable()
    with garbage.garbage_freed():
        thing = Thing()
        thing.itself, gone = thing, weakref.ref(thing)
        del thing
        assert gone() is not None
    assert gone() is None
    assert collector.get_freeze_count() > 0
