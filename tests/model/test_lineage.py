"""The stages before a run, in its manifest: what is kept of files of unknown origin."""

from lai.model.lineage import MAX_STAGES, as_parent, entries, licences, parents
from lai.model.manifest import MAX_SIZE, to_json
from lai.model.record import TrainingRecord

MANIFEST = {
    "run": "7" * 32,
    "data": [{"name": "mine", "sha256": "ef" * 32, "bytes": 7, "licence": "CC-BY-4.0"}],
    "metrics": {"val/loss": 1.25, "val/bpb": 0.5},
}
RECORD = TrainingRecord(steps=10, tokens=4096, val_loss=1.5)


def stage(name, manifest=None):
    return as_parent(name, "ab" * 32, "model file", "f32", "", RECORD, manifest)


def test_a_parent_has_what_its_manifest_and_its_record_say():
    found = stage("a.bin", MANIFEST)
    assert (found["name"], found["sha256"], found["run"]) == ("a.bin", "ab" * 32, "7" * 32)
    assert (found["steps"], found["tokens_seen"]) == (10, 4096)
    assert found["metrics"] == {"val/loss": 1.25, "val/bpb": 0.5}
    assert found["licences"] == ["CC-BY-4.0"] and found["data"] == MANIFEST["data"]
    assert "parent" not in found and stage("b.bin")["metrics"] == {"val/loss": 1.5}


def test_chains_are_nested_and_their_licences_count():
    first = {"data": [{"name": "a", "licence": "A"}]}
    second = {"data": [{"name": "b", "licence": "B"}], "parent": stage("first.bin", first)}
    third = {"data": [{"name": "c", "licence": "C"}], "parent": stage("second.bin", second)}
    assert [one["name"] for one in parents(third)] == ["second.bin", "first.bin"]
    assert licences(third) == ["A", "B", "C"]


def test_long_chains_lose_their_earliest_stages():
    manifest = {}
    for number in range(3 * MAX_STAGES):
        manifest = {"parent": stage(f"{number}.bin", manifest)}
    found = list(parents(manifest))
    assert [one["name"] for one in found] == [f"{3 * MAX_STAGES - 1 - number}.bin" for number in range(MAX_STAGES)]
    assert found[-1]["stages_left_out"] is True


def test_the_manifest_of_a_stranger_stays_small():
    large = {"data": [{"name": "x" * 10**5, "licence": "y" * 10**5, "sha256": [], "bytes": {}}] * 1000, "run": 3}
    large |= {"metrics": {"val/loss": float("nan"), "a" * 10**5: 1.0, "b": "text"}}
    for _ in range(2 * MAX_STAGES):
        large["parent"] = dict(large)
    found = stage("a.bin", large)
    assert len(to_json({"parent": found})) < MAX_SIZE
    assert found["data_left_out"] == 970 and "b" not in found["metrics"] and found["run"] is None


def test_what_is_no_manifest_tells_nothing():
    for odd in ({"parent": 3, "data": "x"}, {"data": [3, None], "metrics": []}, {"parent": {"data": {"a": 1}}}):
        assert stage("a.bin", odd)["data"] == [] and entries(odd, "data") == [] and licences(odd) == []
