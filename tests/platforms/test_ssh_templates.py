"""No name becomes anything but one word of the command."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy.model.errors import InputError, PlatformError
from entropy.platforms.ssh.templates import CommandTemplate

ALLOWED = ("VM", "HOST", "DESTINATION")


def filled(text: str, **values: str) -> str:
    return CommandTemplate(text, ALLOWED).fill(values)


@pytest.mark.parametrize(
    ("text", "values", "line"),
    [
        ("xl migrate $VM $DESTINATION", {"VM": "web-1", "DESTINATION": "n2"}, "xl migrate web-1 n2"),
        ("xl create /VMs/${VM}.cfg", {"VM": "web 1"}, "xl create /VMs/'web 1'.cfg"),
        ("a=$$(id -u); xl destroy $VM; echo $$a", {"VM": "v"}, "a=$(id -u); xl destroy v; echo $a"),
        ("echo 'done' \"$$HOME\" $VM", {"VM": "a;reboot"}, "echo 'done' \"$HOME\" 'a;reboot'"),
        ("poweroff", {}, "poweroff"),
    ],
)
def test_fill(text: str, values: dict[str, str], line: str) -> None:
    assert filled(text, **values) == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("xl migrate $VM $TARGET", r"uses \$TARGET; accepted here: \$VM, \$HOST, \$DESTINATION"),
        ("xl migrate $vm", r"uses \$vm"),
        ("xl destroy '$VM'", r"has \$VM inside '"),
        ('sh -c "xl destroy $VM"', r'has \$VM inside "'),
        ("echo `xl domid $VM`", "inside `"),
        ("echo \\$VM", "behind a backslash"),
        ("true # $VM", "in a comment"),
        ("echo $(id)", "lone [$] at character 6"),
        ("echo ${VM", "lone [$]"),
        ("echo $", "lone [$]"),
        ("   ", "is empty"),
    ],
)
def test_templates_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        CommandTemplate(text, ALLOWED)


@pytest.mark.parametrize("name", ["-rf", "--help", "../../etc/passwd", "a/b", "..", ".", "", "a\nb", "a\x00b", "\x7f"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(PlatformError, match=re.escape(repr(name))):
        filled("xl destroy $VM", VM=name)


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="/", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30))
def test_a_shell_gives_back_the_very_name(name: str) -> None:
    """Asked of a real shell: one word, unchanged, whatever it holds."""
    if name.startswith("-") or name in (".", ".."):
        return
    line = filled("printf '<%s>' x$VM end", VM=name)
    said = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout.decode()
    assert said == f"<x{name}><end>"
    assert shlex.split(line)[2] == f"x{name}"


def test_a_wrong_command_is_refused_when_the_driver_is_made() -> None:
    from entropy.platforms.ssh.driver import SshDriver

    with pytest.raises(InputError, match=r"run = 'xl create \$DESTINATION' uses \$DESTINATION; accepted here: \$VM, \$HOST"):
        SshDriver.from_settings({"run": "xl create $DESTINATION"})
    with pytest.raises(InputError, match=r"migrat: is no known key .*migrate.*privateKey"):
        SshDriver.from_settings({"migrat": "xl migrate"})
    with pytest.raises(InputError, match=r"port: is '0' \(accepted: a number at least 1\)"):
        SshDriver.from_settings({"port": "0"})
    made = SshDriver.from_settings({"migrate": "xl migrate $VM $DESTINATION", "port": "22", "privateKey": "/k", "user": "xen"})
    assert [o for o in ("migrate", "run", "startup") if made.offers(o)] == ["migrate"]
