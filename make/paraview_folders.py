"""Make a folder with a Debian release and its ParaView, and programs that run it from outside.

`programs` is all that others need. A folder is made once, by debootstrap, from the package index
that this machine's own apt uses. The ParaView in it sees this machine's devices, its temporary
folder, and the folders that are named, at the same paths. It starts in a mount namespace of its
own, so nothing is left mounted.

The Python that runs this is this machine's in there too, when a ParaView starts it: at its path in
the folder stands a script that leaves the folder again.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The last is what draws the window's icons: it goes with the Qt of the release's ParaView.
PACKAGES = {
    "bookworm": "paraview python3-paraview libqt5svg5",
    "trixie": "paraview python3-paraview libqt6svg6",
    "forky": "paraview python3-paraview libqt6svg6",
}
PROGRAMS = ("paraview", "pvbatch", "pvpython", "pvserver")
NEEDED = ("debootstrap", "unshare", "chroot", "Xvfb")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
FINISHED = ".paraview-is-there"

# The index of a release that gets no security updates, or not yet, may have an old date.
_APT = 'Acquire::Check-Valid-Until "false";\nAPT::Install-Recommends "false";\n'
_NO_SERVICES = "#!/bin/sh\nexit 101\n"
_INSTALL = """
mount --rbind /dev "$1/dev" && mount --rbind /sys "$1/sys" && mount -t proc proc "$1/proc" || exit 1
exec chroot "$1" sh -c "apt-get update -qq && \\
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $2 && \\
    apt-get clean && rm -rf /var/lib/apt/lists/*"
"""
_PROGRAM = """#!/bin/sh
# {program} of the ParaView in a folder made by make/paraview_folders.py
exec unshare --mount sh -c '
root=$1 here=$PWD; shift
while [ "$1" != -- ]; do
    if [ ! -e "$1" ]; then
        echo "$1 is gone; this {program} was made to see it. Run make test-paraviews again." >&2
        exit 1
    fi
    mkdir -p "$root$1" && mount --rbind "$1" "$root$1" || exit 1
    shift
done
shift
mkdir -p "$root/outside" && mount --rbind / "$root/outside" || exit 1
exec chroot "$root" env --chdir="$here" "$@"' sh {root} {shared} -- {program} "$@"
"""
_OUTSIDE = """#!/bin/sh
# made by make/paraview_folders.py: the program at this path outside of the folder
exec chroot /outside env --chdir="$PWD" "$0" "$@"
"""


def programs(release, cache, shared):
    """A folder with ParaView's programs by their own names, which run the one of a release.

    Args:
        release: code name of a Debian release, a key of `PACKAGES`.
        cache: the folder that holds the releases.
        shared: folders that the ParaView sees at the same paths.

    Returns:
        Path; the folder of this machine's own ParaView if it is of this release.

    Raises:
        SystemExit: the release is not there and cannot be made; the message says why.
    """
    own = shutil.which("pvpython")
    if own and release == _release_of_machine():
        return Path(own).parent
    if os.geteuid():
        sys.exit("only root can run a ParaView in a folder of its own: run this as root")
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}; on Debian, apt-get install debootstrap xvfb")
    folder = Path(cache).resolve() / release
    if not (folder / FINISHED).exists():
        _make(release, folder)
    return _write_programs(folder, shared)


def _release_of_machine():
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return dict(line.split("=", 1) for line in lines if "=" in line).get("VERSION_CODENAME")


def _package_index():
    """The address of Debian's packages, as this machine's apt has it."""
    if shutil.which("apt-get"):
        command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        for line in done.stdout.splitlines():
            if line.startswith("Debian Debian "):
                return line.split()[2]
    sys.exit(
        "the apt of this machine knows no index of Debian's packages: run this on Debian, after "
        "apt-get update"
    )


def _make(release, folder):
    index = _package_index()
    shutil.rmtree(folder, ignore_errors=True)  # left by a run that was broken off
    folder.mkdir(parents=True)
    print(f"Making {folder} with the ParaView of Debian {release}: minutes.", flush=True)
    command = ["debootstrap", "--variant=minbase", f"--keyring={KEYS}", release, folder, index]
    if not Path("/usr/share/debootstrap/scripts", release).exists():
        command.append(
            "sid"
        )  # a release newer than this debootstrap is made as the newest it knows
    _run(*command)
    shutil.copy("/etc/resolv.conf", folder / "etc")
    (folder / "etc/apt/apt.conf.d/90paraviews").write_text(_APT, encoding="ascii")
    services = folder / "usr/sbin/policy-rc.d"
    services.write_text(_NO_SERVICES, encoding="ascii")
    services.chmod(0o755)
    _run("unshare", "--mount", "sh", "-c", _INSTALL, "sh", folder, PACKAGES[release])
    (folder / FINISHED).touch()


def _run(*command):
    command = [str(part) for part in command]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command[0]}: exit code {done.returncode}\n{done.stdout[-3000:]}")


def _write_python(folder, shared):
    """This Python in the folder: at each of the names by which its links lead to it."""
    name, places = Path(sys.executable), [Path(place).resolve() for place in shared]
    while True:
        if not any(place in name.parents for place in places):
            script = folder / name.relative_to("/")
            if not script.exists():
                script.parent.mkdir(parents=True, exist_ok=True)
                script.write_text(_OUTSIDE, encoding="ascii")
                script.chmod(0o755)
            elif not script.read_bytes().startswith(b"#!/bin/sh"):
                sys.exit(
                    f"{name}: another Python has this name in {folder}; make the environment with "
                    "a Python whose name has its version, such as PYTHON=python3.11"
                )
        if not name.is_symlink():
            return
        name = Path(os.path.normpath(name.parent / os.readlink(name)))


def _write_programs(folder, shared):
    _write_python(folder, shared)
    places = {str(Path(place).resolve()) for place in (*shared, tempfile.gettempdir())}
    listed = " ".join(map(shlex.quote, ("/dev", "/proc", "/sys", *sorted(places))))
    # of their own for each checkout: others use the same releases, and may be deleted
    digest = hashlib.sha256(listed.encode()).hexdigest()[:8]
    written = folder.with_name("programs") / f"{folder.name}-{digest}"
    written.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        text = _PROGRAM.format(program=name, root=shlex.quote(str(folder)), shared=listed)
        (written / name).write_text(text, encoding="utf-8")
        (written / name).chmod(0o755)
    return written
