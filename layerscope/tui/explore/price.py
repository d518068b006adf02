"""Asks before an engine on another host exports a large image."""

from __future__ import annotations

from typing import Any

from textual.app import App

from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.session import Session


def ask_price(app: App[Any], session: Session, price: str) -> None:
    def take(letter: str | None) -> None:
        session.agree() if letter == "t" else session.cancel()

    answers = [("t", "Transfer it"), ("c", "Cancel")]
    if not session.progress.cancelled:
        app.push_screen(QuestionScreen("Transfer the image?", price, answers), take)
