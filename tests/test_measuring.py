from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from benchmarks import confinement, measuring, peers, processes, report, running, served, soak, templates
from benchmarks.__main__ import MISSED, code, main

ROOT = Path(__file__).parents[1]
SECONDS = 300


def sample(name: str, *seconds: float) -> measuring.Sample:
    return measuring.Sample(name, seconds)


def test_a_median_is_the_middle_run_and_not_the_mean() -> None:
    assert sample("a", 1.0, 100.0, 2.0).median == 2.0
    assert sample("a", 1.0, 100.0, 2.0, 4.0).median == 3.0


def test_a_ratio_is_the_baselines_median_by_the_subjects_and_spreads_over_the_rounds() -> None:
    ratio = measuring.ratio(sample("slow", 8.0, 12.0, 10.0), sample("fast", 2.0, 1.0, 5.0))
    assert (ratio.subject, ratio.median, ratio.lowest, ratio.highest) == ("fast", 5.0, 2.0, 12.0)


def test_a_slower_subject_has_a_ratio_below_one() -> None:
    assert measuring.ratio(sample("a", 1.0), sample("b", 4.0)).median == 0.25


def test_samples_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        measuring.ratio(sample("a", 1.0, 2.0), sample("b", 1.0))


def test_everything_is_compared_with_the_baseline_but_the_baseline() -> None:
    samples = [sample("a", 1.0), sample("base", 8.0), sample("b", 2.0)]
    compared = measuring.compare("title", samples, baseline="base")
    assert compared.baseline == "base"
    assert [(ratio.subject, ratio.median) for ratio in compared.ratios] == [("a", 8.0), ("b", 4.0)]


def test_the_median_of_each_step_is_taken_over_the_runs_that_have_it() -> None:
    runs = [{"render": 1.0, "hook": 9.0}, {"render": 3.0}, {"render": 2.0}]
    assert measuring.median_of_each(runs) == {"render": 2.0, "hook": 9.0}


@pytest.mark.anyio
async def test_subjects_run_in_turns_on_paths_that_are_fresh_and_their_own(tmp_path: Path) -> None:
    ran: list[tuple[str, Path]] = []

    def subject(name: str) -> measuring.Subject:
        async def run(path: Path) -> None:
            assert not path.exists()
            path.mkdir()
            ran.append((name, path))

        return measuring.Subject(name, run)

    await measuring.interleave([subject("a"), subject("b")], rounds=3, folder=tmp_path)
    assert [name for name, _ in ran] == ["a", "b", "a", "b", "a", "b"]
    assert len({path for _, path in ran}) == 6
    # What was made stays: a deletion would slow the next run down.
    assert all(path.parent == tmp_path and path.exists() for _, path in ran)


@pytest.mark.anyio
async def test_each_run_is_timed_alone(tmp_path: Path) -> None:
    # The clock's readings: a begins and ends, b begins and ends, and so again.
    readings = itertools.chain([0.0, 1.0, 10.0, 14.0], [20.0, 23.0, 30.0, 35.0])
    subjects = [measuring.Subject("a", _nothing), measuring.Subject("b", _nothing)]
    samples = await measuring.interleave(subjects, rounds=2, folder=tmp_path, clock=lambda: next(readings))
    assert samples == (sample("a", 1.0, 3.0), sample("b", 4.0, 5.0))


@pytest.mark.anyio
async def test_a_run_that_never_ends_is_ended(tmp_path: Path) -> None:
    async def forever(_path: Path) -> None:
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        await measuring.interleave([measuring.Subject("a", forever)], rounds=1, folder=tmp_path, seconds=0.01)


def test_a_table_tells_medians_spread_and_ratios() -> None:
    samples = [sample("fast", 0.1, 0.2, 0.4), sample("slow", 2.0, 2.0, 2.0)]
    told = "\n".join(report.table(measuring.compare("making", samples, baseline="slow")))
    assert "making (3 interleaved rounds)" in told
    assert re.search(r"fast +200\.0 ms +100\.0 ms to 400\.0 ms +10\.0 times \(5\.0 to 20\.0\)", told)
    assert re.search(r"slow +2\.00 s +2\.00 s to 2\.00 s +1, the baseline", told)


def test_a_measured_command_writes_and_reads_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONPATH"):
        monkeypatch.setenv(name, "1")
    environment = peers.environment(ADDED="yes")
    assert environment["ADDED"] == "yes"
    assert environment["PATH"] == os.environ["PATH"]
    assert not [
        name for name in environment if name in {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONPATH"}
    ]


def test_the_measured_uv_and_python_are_binaries_and_no_shims() -> None:
    for binary in (peers.UV, peers.PYTHON):
        assert binary.read_bytes()[:4] == b"\x7fELF"


def test_a_measured_template_has_eight_files_and_a_hook_only_where_it_is_asked_for(tmp_path: Path) -> None:
    without = templates.contents(templates.write(tmp_path / "without"))
    hooked = templates.contents(templates.write(tmp_path / "hooked", hook="Python"))
    assert len([name for name in without if name.startswith("{{cookiecutter.")]) == 8
    assert set(hooked) - set(without) == {"hooks/post_gen_project.py"}


def test_a_measured_template_may_have_many_files(tmp_path: Path) -> None:
    files = templates.contents(templates.write(tmp_path / "many", files=60))
    assert len([name for name in files if name.startswith("{{cookiecutter.")]) == 60


def test_what_is_added_and_the_times_of_it_are_medians_over_the_rounds() -> None:
    base, own = sample("base", 1.0, 2.0, 10.0), sample("own", 2.0, 5.0, 11.0)
    assert measuring.added(base, own) == 1.0
    assert measuring.times(base, own) == 2.0


@pytest.mark.parametrize(
    ("small", "large", "missed"),
    [
        (0.0155, 0.0124, []),
        (0.0165, 0.0124, ["add at most 6 ms"]),
        (0.0155, 0.0126, ["add at most 25%"]),
        (0.0255, 0.0124, ["add at most 6 ms", "less than a third"]),
    ],
)
def test_what_confinement_may_cost_is_claimed_and_more_is_told_as_missed(
    small: float, large: float, missed: list[str]
) -> None:
    def compared(contained: float) -> measuring.Comparison:
        others = [sample(confinement.IN_PLACE, 0.01), sample(served.COMMAND, 0.06)]
        samples = [sample(confinement.CONTAINED, contained), *others]
        return measuring.compare("a create", samples, baseline=served.COMMAND)

    claims = confinement.claims({confinement.SMALL: compared(small), confinement.LARGE: compared(large)})
    told = report.words(measuring.Result("confinement", (), claims=claims)).splitlines()[1:]
    assert [line.split()[0] for line in told] == ["holds" if claim.holds else "MISSED" for claim in claims]
    found = [claim.words for claim in claims if not claim.holds]
    assert all(words in claim for words, claim in zip(missed, found, strict=True))


def test_what_is_claimed_to_be_faster_is_told_with_what_was_found() -> None:
    compared = measuring.compare("t", [sample("ours", 1.0), sample("uv", 4.0), sample("pip", 40.0)], baseline="pip")
    held = measuring.faster("it", compared, "ours", 40)
    assert (held.words, held.found, held.holds) == ("it is at least 40 times faster than pip", "40.0 times", True)
    assert not measuring.faster("it", compared, "ours", 4.1, than="uv").holds


@pytest.mark.parametrize(("percent", "found"), [(50, 5.0), (99, 10.0), (10, 1.0), (1, 1.0)])
def test_a_percentile_is_one_of_the_values(percent: float, found: float) -> None:
    assert measuring.percentile([float(number) for number in range(10, 0, -1)], percent) == found


def test_a_missed_claim_is_no_failure_of_few_rounds() -> None:
    missed = measuring.Result("it", (), claims=(measuring.Claim("it is fast", "slow", holds=False),))
    assert code([missed], quick=False) == MISSED
    assert code([missed], quick=True) == 0
    assert code([], quick=False) == 0


def test_what_many_equal_things_took_is_told_of_one() -> None:
    assert measuring.of_each(sample("a", 10.0, 20.0), 10) == sample("a", 1.0, 2.0)


def test_an_amount_is_told_with_its_unit_and_spread() -> None:
    amounts = (measuring.Amount("memory", (1.0, 2.0, 9.0), "MB"), measuring.Amount("calls", (7.0,), ""))
    told = report.words(measuring.Result("memory", (), amounts=amounts))
    assert re.search(r"memory +2\.0 MB \(1\.0 to 9\.0\)", told)
    assert re.search(r"calls +7\.0 ", told)


@pytest.mark.parametrize(("last", "holds"), [(100.0, True), (104.9, True), (106.0, False), (80.0, True)])
def test_what_grows_during_a_soak_is_told(last: float, holds: bool) -> None:
    assert soak.growth("memory", [100.0] * 6 + [last] * 3).holds is holds


def test_what_processes_hold_is_read_of_all_below_one() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"1\n"
        found = processes.held(child.pid)
        assert found.processes == 2
        assert found.megabytes > 1
        assert found.descriptors >= 6
        assert processes.descendants(child.pid)[0] == child.pid
        child.stdin.close()
    assert processes.descendants(child.pid) == [child.pid]


def test_a_template_for_copier_asks_and_makes_the_same(tmp_path: Path) -> None:
    templates.write_for_copier(tmp_path / "copier", files=10)
    ours = templates.contents(templates.write(tmp_path / "ours", files=10))
    theirs = templates.contents(tmp_path / "copier")
    del ours["cookiecutter.json"]
    wanted = {
        "template/" + name.replace("cookiecutter.", ""): text.replace(b"cookiecutter.", b"")
        for name, text in ours.items()
    }
    assert wanted == {name: text for name, text in theirs.items() if name != "copier.yml"}
    assert set(json.loads(theirs["copier.yml"])) >= set(templates.ANSWERS)


def test_an_unknown_benchmark_is_wrong_usage(tmp_path: Path) -> None:
    ran = benchmarks(tmp_path, "nothing")
    assert ran.returncode == 2
    assert "there are environment, packages, add, create" in ran.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--json", "/no/such/folder/x.json"], "`/no/such/folder` is no folder"),
        (["--json", "/"], "`/` is a folder"),
        (["--seconds", "-1"], "`-1` is not a number above zero"),
        (["--seconds", "nan"], "`nan` is not a number above zero"),
    ],
)
def test_what_would_fail_after_an_hour_is_refused_before_anything_is_measured(
    wrong: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "startup", *wrong])
    monkeypatch.setattr("benchmarks.__main__._run", lambda *_: pytest.fail("it was measured"))
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_benchmark_runs_prints_ratios_and_leaves_nothing(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ran = benchmarks(temporary, "tools", "--quick", "--json", str(found))
    assert ran.returncode == 0, ran.stderr
    assert len(re.findall(r"Dynamo.+ [\d.]+ times \([\d.]+ to [\d.]+\)\n", ran.stdout)) == 4
    assert len(re.findall(r"a bare SDK server, the same bytes .+ 1, the baseline\n", ran.stdout)) == 2
    assert "command: uv run python -m benchmarks tools --quick\n" in ran.stdout
    assert re.search(r"machine: \d+ cores .+ Python [\d.]+, uv [\d.]+, cookiecutter 2\.7\.1", ran.stdout)
    assert "://" not in ran.stdout + ran.stderr
    document = json.loads(found.read_bytes())
    [result] = document["results"]
    assert [len(told["seconds"]) for told in result["comparisons"][0]["samples"]] == [5, 5, 5]
    assert result["comparisons"][0]["ratios"][0]["median"] > 0
    assert list(temporary.iterdir()) == []


@pytest.mark.anyio
async def test_one_that_breaks_ends_the_others_and_its_log_stays(tmp_path: Path) -> None:
    before = {*processes.descendants(os.getpid())}  # other tests may have left some that wait
    with pytest.raises(running.BenchmarkFailed, match="`nothing` failed; what was said is in "):
        await running.run(
            tmp_path, ["soak", "nothing"], [], at_once=2, more=0, tell=lambda _: pytest.fail("it was told")
        )
    assert "No module named 'benchmarks.nothing'" in (tmp_path / "nothing.log").read_text()
    assert "KeyboardInterrupt" in (tmp_path / "soak.log").read_text()
    assert {*processes.descendants(os.getpid())} <= before


async def _nothing(_path: Path) -> None:
    return


def benchmarks(temporary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
