"""The command line of the learning side."""

import pytest
from iterqr_training.main import main


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "no commands yet" in capsys.readouterr().out


def test_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["loop"])
    assert exit_info.value.code == 2
    assert "loop" in capsys.readouterr().err
