"""Metrics of a run that continues in its folder."""

from lai.train import train


def test_metrics_of_an_earlier_run_in_the_same_folder_are_kept(tmp_path, compose_run, text_file):
    for _ in range(3):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=1", "trainer.log_every_n_steps=1"))
    names = sorted(path.name for path in (tmp_path / "run").glob("metrics*.csv"))
    assert names == ["metrics-1.csv", "metrics-2.csv", "metrics.csv"]
