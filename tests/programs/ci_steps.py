"""What a CI system would run: `ci_steps.py FILE FOLDER` writes a script for each shell of a job into the folder.

Prints a line for each: the command that runs it. What installs packages is left out.
"""
import pathlib
import re
import sys

import yaml

source, folder = map(pathlib.Path, sys.argv[1:])
folder.mkdir(exist_ok=True)


def scripts():
    """The command, with {0} for the script, and its text."""
    text = source.read_text()
    if source.name == "Jenkinsfile":
        # As the step `sh` does; https://www.jenkins.io/doc/pipeline/steps/workflow-durable-task-step/
        for script in re.findall(r"sh '''(.*?)'''", text, re.DOTALL):
            yield "sh -xe {0}", script
        return
    job = yaml.safe_load(text)
    if source.name == "gitlab.yml":
        lines = [line for line in job["build"]["before_script"] + job["build"]["script"] if "apt-get" not in line]
        yield "bash -eo pipefail {0}", "\n".join(lines)
        return
    job = job["jobs"]["build"]
    for step in job["steps"]:
        if "apt-get" not in step["run"]:
            shell = step.get("shell", job["defaults"]["run"]["shell"])
            # What GitHub makes of the short name, without a profile.
            yield ("bash -e {0}" if shell == "bash" else shell), step["run"]


for number, (command, text) in enumerate(scripts()):
    script = folder / f"{number}.sh"
    script.write_text(text + "\n")
    print(command.replace("{0}", str(script)))
