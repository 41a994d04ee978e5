"""What README and the examples of running it for real say is so: no password in an argument, no setting unknown."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from streamlit import config

from core import settings, targets
from core.settings import read_settings
from dashboard.__main__ import ROOT

README = (ROOT / "README.md").read_text()
DEPLOY = ROOT / "dashboard" / "deploy"
FILES = sorted(path.name for path in DEPLOY.iterdir())
ENV = dict(
    line.split("=", 1) for line in (DEPLOY / "partition-desk.env").read_text().splitlines() if not line.startswith("#")
)
KNOWN = set(re.findall(r'"((?:PARTITION_DESK_|DATABASE_|BACKUP_)[A-Z_]+)"', Path(settings.__file__).read_text()))


def said(name: str) -> str:
    """A file without its comments."""
    return re.sub(r"(?m)(^|\s)#.*$", "", (DEPLOY / name).read_text())


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_no_line_for_cron_has_the_address_in_its_command() -> None:
    (block,) = re.findall(r"(?s)\*\*cron\*\*.*?```\n(.*?)```", README)
    lines = block.splitlines()
    commands = [line for line in lines if re.match(r"[\d*]+ ", line)]
    assert len(commands) == 3
    assert [line for line in lines if line not in commands] == ["DATABASE_URL=postgresql://desk@db.example/school"]
    assert not [line for line in commands if re.search(r"://|=|PASS", line)]


def test_every_setting_of_alarms_is_in_the_table() -> None:
    name = r"\bPARTITION_DESK_ALARM_[A-Z_]*[A-Z]\b"
    rows = re.findall(rf"(?m)^\| (`{name}.*?) \|", README)
    assert set(re.findall(name, " ".join(rows))) == set(re.findall(name, Path(targets.__file__).read_text()))


@pytest.mark.parametrize("name", FILES)
def test_what_is_set_is_a_setting(name: str) -> None:
    found = set(re.findall(r"\b((?:PARTITION_DESK|DATABASE|BACKUP)_[A-Z_]+)\b", said(name)))
    assert found <= KNOWN, found - KNOWN
    for option in re.findall(r"\bSTREAMLIT_(SERVER)_([A-Z_]+)\b", said(name)):
        parts = option[1].lower().split("_")
        key = f"server.{parts[0]}{''.join(part.title() for part in parts[1:])}"
        assert key in config._config_options_template, key


def test_the_environment_is_one_that_it_starts_with() -> None:
    read = read_settings(ENV)
    assert read.provider is not None
    assert read.database_read_url
    assert read.two_persons == ("drop", "restore")
    assert f"{read.provider.address}/".endswith(f"/{ENV['STREAMLIT_SERVER_BASE_URL_PATH']}/")
    assert ENV["STREAMLIT_SERVER_ALLOWED_HOSTS"] in read.provider.address
    assert all("CHANGE-ME" in ENV[name] for name in ENV if re.search("KEY|SECRET|TOKEN|DATABASE", name))


def test_the_proxies_keep_the_path_and_let_websockets_through() -> None:
    host, base = ENV["STREAMLIT_SERVER_ALLOWED_HOSTS"], ENV["STREAMLIT_SERVER_BASE_URL_PATH"]
    nginx, caddy = said("nginx.conf"), said("Caddyfile")
    assert f"location /{base}/ {{" in nginx
    assert "proxy_pass http://partition_desk;" in nginx  # a path there would take the prefix away
    assert "proxy_set_header Upgrade $http_upgrade;" in nginx
    assert "proxy_http_version 1.1;" in nginx
    assert "proxy_set_header Host $host;" in nginx
    assert f"server_name {host};" in nginx
    assert f"handle /{base}/* {{" in caddy  # handle_path would take the prefix away
    assert caddy.startswith("\n" + host)
    assert all(text.count("{") == text.count("}") for text in (nginx, caddy))


def test_what_is_pinned_has_its_hashes() -> None:
    pin = re.compile(r"(?m)^([\w.-]+==\S+)( \\\n    --hash=sha256:[0-9a-f]{64})?")
    pinned = {one.casefold() for one, _ in pin.findall((ROOT / "constraints.txt").read_text())}
    hashed = {
        one.casefold(): bool(hashes) for one, hashes in pin.findall((ROOT / "constraints-hashed.txt").read_text())
    }
    assert set(hashed) == {name.replace("_", "-") if name.replace("_", "-") in hashed else name for name in pinned}
    assert all(hashed.values())


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx here")
def test_nginx_takes_its_file(tmp_path: Path) -> None:
    text = re.sub("(?m)^ *ssl_certificate.*$", "", (DEPLOY / "nginx.conf").read_text()).replace("443 ssl", "8443")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ {text} }}")
    subprocess.run(["nginx", "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], check=True)


def test_containers_run_as_nobody_in_particular_on_a_root_that_is_read() -> None:
    docker = said("Dockerfile")
    assert "USER 10001:10001" in docker
    assert docker.index("USER") > docker.index("RUN pip")
    for source in re.findall(r"(?m)^COPY (.*) \S+$", docker):
        assert all((ROOT / one).exists() for one in source.split())
    (compose,) = documents("compose.yaml")
    desk = compose["services"]["desk"]
    assert (desk["read_only"], desk["cap_drop"], desk["env_file"]) == (True, ["ALL"], "partition-desk.env")
    assert (DEPLOY / desk["build"]["context"]).resolve() == ROOT
    assert "ports" not in desk  # the proxy alone is open
    assert {volume.partition(":")[0] for volume in desk["volumes"]} <= set(compose["volumes"])
    kinds = {one["kind"]: one for one in documents("kubernetes.yaml")}
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert "/tmp" in written
    assert any(one["value"].startswith("/var/lib/partition-desk/") for one in container["env"])
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Service"]["spec"]["selector"] == labels == kinds["Deployment"]["spec"]["selector"]["matchLabels"]
    (rule,) = kinds["Ingress"]["spec"]["rules"]
    assert rule["host"] == ENV["STREAMLIT_SERVER_ALLOWED_HOSTS"]
    assert rule["http"]["paths"][0]["path"] == f"/{ENV['STREAMLIT_SERVER_BASE_URL_PATH']}"


def test_maintain_runs_as_the_dashboard_does() -> None:
    (job,) = documents("maintain.yaml")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    desk = {one["kind"]: one for one in documents("kubernetes.yaml")}["Deployment"]["spec"]["template"]["spec"]
    (container,), (other,) = pod["containers"], desk["containers"]
    assert pod["securityContext"] == desk["securityContext"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    for name in ("image", "envFrom", "env", "securityContext", "volumeMounts"):
        assert container[name] == other[name]
    assert container["command"][1:] == ["-m", "core", "maintain"]
    unit = said("partition-desk-maintain.service")
    assert "ExecStart=/opt/partition-desk/.venv/bin/python -m core maintain" in unit
    assert re.findall("(?m)^EnvironmentFile=.*", unit) == re.findall(
        "(?m)^EnvironmentFile=.*", said("partition-desk.service")
    )
    assert "OnCalendar=hourly" in said("partition-desk-maintain.timer")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_its_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "partition-desk.service").read_text().replace("=partition-desk\n", "=root\n", 2)
    unit = tmp_path / "partition-desk.service"
    unit.write_text(text.replace("/opt/partition-desk/.venv/bin/python", sys.executable))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True
    )
    assert "partition-desk.service" not in ended.stderr, ended.stderr
