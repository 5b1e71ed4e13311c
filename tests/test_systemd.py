"""User units: systemd itself finds nothing wrong with them, and what people changed stays."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import shoebox
from app.services import folders, foreground
from app.services.foreground import stay_up
from app.services.lifecycle import UpResult, down, is_up
from app.services.processes import service_processes, supervisors
from app.services.programs import Program
from app.systemd import installing
from app.systemd.quoting import command_line, environment_file, path_value
from app.systemd.units import UNITS, UnitOptions, unit_text
from tasks.errors import ConfigError, ServiceError
from tasks.settings import Settings
from tests.test_services import REDIS

AWKWARD = 'we $x %h %% it\'s "z" #; é'


@pytest.fixture(autouse=True)
def _no_systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test speaks with the developer's own systemd."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(tmp_path / "told"))}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "OLLAMA_HOST", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(shoebox, ["systemd", *map(str, arguments)])


def told(tmp_path: Path) -> list[str]:
    return (tmp_path / "told").read_text().splitlines() if (tmp_path / "told").exists() else []


def units_at(folder: Path, options: UnitOptions) -> list[Path]:
    folder.mkdir()
    for unit in UNITS:
        (folder / f"shoebox-{unit}.service").write_text(unit_text(unit, options))
    return sorted(folder.iterdir())


# ---------------------------------------------------------------- systemd's own opinion


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_finds_nothing_wrong_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verified(*units: Path) -> subprocess.CompletedProcess[str]:
        command = ["systemd-analyze", "verify", "--user", "--man=no", *map(str, units)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    for number, name in enumerate((AWKWARD, "we $x %h %%", "back\\slash")):
        program = tmp_path / name / "run.sh"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        options = UnitOptions((str(program),), program.parent / "s.env", (program.parent,), "cpu,gpu")
        units = units_at(tmp_path / f"units {number}", options)
        found = verified(*units)
        assert (found.returncode, found.stderr) == (0, "")
    assert "Unknown key" not in found.stderr

    text = units[-1].read_text()
    units[-1].write_text(text.replace("KillMode", "KilMode"))
    assert "Unknown key" in verified(*units).stderr  # it does look
    units[-1].write_text(text.replace("run.sh", "run.st").replace("/usr/bin/env", "/usr/bin/no"))
    assert verified(*units).returncode != 0


def test_words_and_values_come_back_as_they_were(tmp_path: Path) -> None:
    words = ["/usr/bin/x", "--", AWKWARD, "back\\slash", "$HOME", "a  b", ""]
    line = command_line(words)
    assert line.startswith(':"/usr')
    assert shlex.split(line[1:].replace("%%", "%")) == words  # the same within double quotes as systemd's
    assert path_value(Path("/a b/%h")) == "/a b/%%h"
    values = {"SHOEBOX_A": AWKWARD, "SHOEBOX_B": "`id` $(id) \\n 'x", "SHOEBOX_C": ""}
    file = tmp_path / "s.env"
    file.write_text(environment_file(values))
    for name, value in values.items():  # a shell reads these lines as systemd does
        script = f'. "{file}"; printf %s "${name}"'
        assert subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode() == value


@pytest.mark.parametrize("bad", ["two\nlines", "bell\x07", "\udcff"])
def test_what_no_unit_can_hold_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError):
        command_line([bad])
    with pytest.raises(ConfigError):
        path_value(Path("/", bad))
    with pytest.raises(ConfigError, match="SHOEBOX_X"):
        environment_file({"SHOEBOX_X": bad})
    with pytest.raises(ConfigError, match="ends in"):
        path_value(Path("/a\\"))


# ---------------------------------------------------------------- the command


def test_it_shows_first_and_keeps_secrets_out_of_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOEBOX_REDIS_URL", "redis://:canary@nas/0")
    monkeypatch.setenv("SHOEBOX_SUPERVISED", "/x")
    (tmp_path / "Scans").mkdir()
    arguments = (*UNITS, "--folder", tmp_path / "Scans")
    shown = run(*arguments)
    assert shown.exit_code == 0
    assert "canary" not in shown.output
    assert "SHOEBOX_REDIS_URL" in shown.output
    assert not installing.units_dir().exists()

    written = run(*arguments, "--write")
    assert "systemctl --user enable --now shoebox-home shoebox-worker shoebox-watch shoebox-api" in (
        written.output
    )
    assert "loginctl enable-linger" in written.output
    assert told(tmp_path) == ["--user --no-ask-password daemon-reload"]
    environment = installing.environment_path()
    assert 'SHOEBOX_REDIS_URL="redis://:canary@nas/0"' in environment.read_text()
    assert "SUPERVISED" not in environment.read_text()
    assert (environment.stat().st_mode & 0o777) == 0o600
    units = sorted(installing.units_dir().iterdir())
    assert [unit.name for unit in units] == sorted(f"shoebox-{unit}.service" for unit in UNITS)
    assert not [unit for unit in units if "canary" in unit.read_text()]
    assert str(tmp_path / "Scans") in (installing.units_dir() / "shoebox-watch.service").read_text()
    assert "written" not in run(*arguments, "--write").output  # all unchanged


def test_what_was_changed_by_hand_stays(tmp_path: Path) -> None:
    run("home", "api", "--write")
    unit = installing.units_dir() / "shoebox-api.service"
    changed = unit.read_text().replace("RestartSec=20", "RestartSec=99")
    unit.write_text(changed)
    for arguments in (("home", "api", "--write"), ("--remove",)):
        assert isinstance(run(*arguments).exception, ConfigError)
    assert unit.read_text() == changed
    assert (installing.units_dir() / "shoebox-home.service").exists()
    assert run("api", "--write", "--replace").exit_code == 0
    assert "RestartSec=20" in unit.read_text()


def test_other_settings_are_written_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    run("home", "--write")
    monkeypatch.setenv("SHOEBOX_API_PORT", "9999")
    assert run("home", "--write").exit_code == 0
    assert 'SHOEBOX_API_PORT="9999"' in installing.environment_path().read_text()


def test_one_command_takes_it_all_away(tmp_path: Path) -> None:
    run("home", "api", "--write")
    wants = installing.units_dir() / "default.target.wants"
    wants.mkdir()
    (wants / "shoebox-home.service").symlink_to("../shoebox-home.service")
    assert run("api", "--remove").exit_code == 0
    assert installing.environment_path().exists()  # home still wants it
    assert run("--remove").exit_code == 0
    assert told(tmp_path)[-2] == "--user --no-ask-password disable --now shoebox-home.service"
    assert not [path for path in installing.units_dir().rglob("*") if not path.is_dir()]
    assert not installing.environment_path().exists()
    assert run("--remove").exit_code == 0  # nothing is there


@pytest.mark.parametrize(
    "arguments",
    [("watch",), ("home", "--folder", "."), ("api", "--queues", "cpu"), ("worker", "--queues", "; x")],
)
def test_options_belong_to_their_units(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


# ---------------------------------------------------------------- home in the foreground


@pytest.mark.parametrize("end", ["signal", "killed"])
def test_home_stays_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """It says when it is ready, ends what it started, and fails where the supervisor was not asked to end."""
    settings = Settings(data_dir=tmp_path / "data")
    programs: tuple[Program, ...] = (REDIS,)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(tmp_path / "n"))
        notices.settimeout(50)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        child = os.fork()
        if child == 0:
            status = 9
            try:
                stay_up(settings, lambda _: None, programs)
                status = 0
            except ServiceError:
                status = 6
            finally:
                os._exit(status)
        try:
            assert notices.recv(100) == b"READY=1"
            assert is_up(settings)
            if end == "signal":
                os.kill(child, signal.SIGTERM)
            else:
                supervisors(service_processes(settings))[0].kill()
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert ended == (6 if end == "killed" else 0)
            assert end == "killed" or not service_processes(settings)
        finally:
            down(settings)


@pytest.mark.parametrize("by_down", [True, False])
def test_somebody_elses_down_is_no_failure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, by_down: bool
) -> None:
    """With doubles for the services, of which nothing runs any more when they are looked at."""

    def up_and_down(settings: Settings, _: object) -> UpResult:
        folders.prepare_folders(settings)
        if by_down:
            folders.note_stop(settings)
        return UpResult(already_up=False, programs=(), redis_version="")

    monkeypatch.setattr(foreground, "up", up_and_down)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        with nullcontext() if by_down else pytest.raises(ServiceError, match=r"supervisord\.log"):
            stay_up(settings, lambda _: None)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
