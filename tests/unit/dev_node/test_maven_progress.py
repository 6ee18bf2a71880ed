from iterqr_dev_node.maven import MavenProgress, advance

REPOSITORY = "https://repository.example/maven2"


def progress_after(*lines: str) -> MavenProgress:
    progress = MavenProgress()
    for line in lines:
        progress = advance(progress, line)
    return progress


def test_counts_downloads_and_projects() -> None:
    progress = progress_after(
        "[INFO] Scanning for projects...\n",
        "[INFO] Building lib 1                                          [1/18]\n",
        f"Downloading from central: {REPOSITORY}/a/1/a-1.jar\n",
        f"Downloaded from central: {REPOSITORY}/a/1/a-1.jar (1.5 MB at 3.1 MB/s)\n",
        f"Downloaded from central: {REPOSITORY}/b/1/b-1.pom (2.0 kB at 33 kB/s)\n",
        f"Downloaded from central: {REPOSITORY}/c/1/c-1.pom (512 B at 9.0 kB/s)\n",
        "[INFO] Building agent 1                                        [2/18]\n",
    )
    assert progress == MavenProgress(
        project="agent", project_index=2, project_count=18, files=3, downloaded_bytes=1_502_512
    )


def test_other_lines_change_nothing() -> None:
    progress = MavenProgress(project="lib", project_index=1, project_count=2)
    assert advance(progress, "[INFO] BUILD SUCCESS\n") is progress
