"""Run folders and their checkpoints."""


def runs() -> int:
    """List the runs in lightning_logs, the newest last: date, data, network, number of epochs and best epoch."""
    from datetime import datetime
    from pathlib import Path

    from src.common.files import read_object
    from src.common.output import say, table
    from src.runs.folder import FIRST_STEPS, runs_of

    rows = [("run", "date", "data", "network", "epochs", "best epoch")]
    for run in reversed(runs_of(Path())):
        config = run.path / "config.yaml"  # written when a training starts or resumes
        written = (config if config.exists() else run.path).stat().st_mtime
        date = f"{datetime.fromtimestamp(written):%Y-%m-%d %H:%M}"
        try:
            path = run.path / "result.json"
            if is_finished := path.exists():
                result = read_object(path)
            else:
                from src.runs.checkpoint import Checkpoint  # imports torch, which takes a second

                last = Checkpoint.read(run.last)
                result = {"config": last.recipe, "epochs": last.records, "best": None}
                if run.best.exists():
                    result["best"] = Checkpoint.read(run.best).records[-1]
            model, best = result["config"]["model"], result["best"] or {}
            units = "-".join(map(str, model["hidden_units"]))
            kind = model["network"]
            network = f"{kind} {units}" if isinstance(kind, str) else str(kind["class_path"])
            monitor = result["config"].get("checkpoints", {}).get("monitor", "val/acc")
            reached = f"{best['epoch']}: {monitor} {best[monitor]:.4f}" if best else "not validated"
            reached += "" if is_finished else " (unfinished)"
            summary = (str(result["config"]["data"]["dataset"]), network, str(len(result["epochs"])), reached)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # unfinished or damaged
            summary = ("", "", "", "no result yet")
        rows.append((run.path.name, date, *summary))
    say(table(rows) if len(rows) > 1 else f"There are no runs in lightning_logs: {FIRST_STEPS}")
    return 0
