"""The command line of the learning side."""

import pytest
from iterqr_training.main import main


def test_without_a_command_it_says_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "usage: iterqr-train" in capsys.readouterr().err
