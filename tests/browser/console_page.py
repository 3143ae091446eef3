"""The console's page, as a test drives it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, WebSocket, expect

ROWS_KEPT: Final = 500
_REFUSED_SOCKET: Final = "WebSocket connection to"
_OVERLAPS: Final = """() => {
  const found = [];
  const boxed = (element) => {
    const box = element.getBoundingClientRect();
    const seen = box.width && box.height && !element.matches(".sr-only, .skip, option, optgroup");
    const { display, position } = getComputedStyle(element);
    return seen && display !== "inline" && position !== "sticky" ? [[element, box]] : [];
  };
  const named = (element) => element.id || element.className || element.tagName;
  for (const parent of document.querySelectorAll("body, body *:not(svg, svg *)")) {
    const boxes = [...parent.children].flatMap(boxed);
    boxes.forEach(([one, a], index) => boxes.slice(index + 1).forEach(([other, b]) => {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 1) found.push(`${named(one)} and ${named(other)}`);
    }));
  }
  return found;
}"""
_AWAY_PIECES: Final = """() => {
  const canvas = document.getElementById("chart");
  // On a copy made for reading: of reading the page's own canvas again and again the browser warns.
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height + 1];
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--red-soft");
  context.fillRect(0, canvas.height, 1, 1);
  context.drawImage(canvas, 0, 0);
  const wanted = context.getImageData(0, canvas.height, 1, 1).data.join();
  const row = context.getImageData(0, Math.round(canvas.height * 0.3), canvas.width, 1).data;
  const marked = Array.from({ length: canvas.width }, (_, x) => row.slice(4 * x, 4 * x + 4).join() === wanted);
  return marked.filter((is, x) => is && !marked[x - 1]).length;
}"""


class ConsolePage:
    """One user's browser window on the console."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        self.problems: list[str] = []
        """Script errors, console errors and violations of the security policy."""
        self.requested: set[str] = set()
        """Origins the page asked anything of."""
        self.commands: list[str] = []
        """The kinds of commands the page sent to gateways, in order."""
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self._note_request(request.url))
        self.page.on("websocket", self._note_socket)
        self.page.goto(url)
        expect(self.page.locator("html[data-ready]")).to_be_attached()

    def connect(self, user: str, *, gateway: str | None = None, token: str | None = None) -> None:
        """Fill in the form and connect."""
        self.page.get_by_label("User").fill(user)
        if gateway is not None:
            self.page.get_by_label("Gateway").select_option(gateway)
        if token is not None:
            self.page.get_by_text("Use a token of your own").click()
            self.page.get_by_label("Connection token").fill(token)
        self.page.locator("#connect").click()

    def connected(self, user: str, *, gateway: str | None = None, token: str | None = None) -> ConsolePage:
        """Connect and wait until that is done."""
        self.connect(user, gateway=gateway, token=token)
        self.expect_state("Connected")
        return self

    def expect_state(self, state: str) -> None:
        """Wait until the connection is in this state."""
        expect(self.page.locator("#link-state")).to_have_text(state)

    def disconnect(self) -> None:
        """Press the button and wait until it is done."""
        self.page.get_by_role("button", name="Disconnect").click()
        self.expect_state("Disconnected")

    def reconnect(self) -> None:
        """Press the button and wait until it is done."""
        self.page.get_by_role("button", name="Reconnect").click()
        self.expect_state("Connected")

    def subscribe(self, channel: str) -> None:
        """Ask for a channel; it becomes the selected one."""
        self.page.locator("#channel").fill(channel)
        self.page.get_by_role("button", name="Subscribe", exact=True).click()

    def subscribed(self, channel: str) -> ConsolePage:
        """Subscribe and wait until that is done."""
        self.subscribe(channel)
        expect(self.item(channel).locator(".channel-item")).to_have_attribute("data-state", "subscribed")
        return self

    def item(self, channel: str) -> Locator:
        """Return a channel's place in the list."""
        return self.page.locator("#channel-list > li").filter(has=self.page.get_by_role("button", name=channel))

    def publish(self, text: str) -> None:
        """Write into the composer and send."""
        self.page.locator("#payload").fill(text)
        self.page.locator("#publish").click()

    def expect_status(self, text: str | re.Pattern[str]) -> None:
        """Wait until the composer says so."""
        expect(self.page.locator("#composer-status")).to_have_text(text)

    @property
    def rows(self) -> Locator:
        """The publications of the selected channel, newest first."""
        return self.page.locator("#publications > .pub")

    @property
    def remarks(self) -> Locator:
        """What the stream says besides publications, newest first."""
        return self.page.locator("#publications > .remark")

    def row(self, text: str) -> Locator:
        """Return the publications that contain a text."""
        return self.rows.filter(has_text=text)

    def offsets(self) -> list[int]:
        """Return the offsets shown, oldest first."""
        return [int(text.removeprefix("#")) for text in self.rows.locator(".pub-offset").all_inner_texts()][::-1]

    def tile(self, label: str) -> Locator:
        """Return one of the figures above the stream."""
        return self.page.locator(".tile").filter(has_text=label).locator(".figure")

    def member(self, user: str) -> Locator:
        """Return a user's place among those present."""
        return self.page.locator("#members > .member").filter(has=self.page.locator("b", has_text=user))

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        wider: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return max(0, wider)

    def expect_away_pieces(self, wanted: int) -> None:
        """Wait until the chart marks in so many pieces that there was no connection."""
        self.page.wait_for_function(f"wanted => ({_AWAY_PIECES})() === wanted", arg=wanted)

    def overlaps(self) -> list[str]:
        """Return the neighbours, of one parent, whose boxes intersect."""
        found: list[str] = self.page.evaluate(_OVERLAPS)
        return found

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and _REFUSED_SOCKET not in message.text:
            self.problems.append(message.text)

    def _note_socket(self, socket: WebSocket) -> None:
        self._note_request(socket.url)
        socket.on("framesent", self._note_commands)

    def _note_commands(self, frame: str | bytes) -> None:
        """Note the commands of a frame; a pong is an empty one. Frames are lines of JSON."""
        for line in frame.splitlines():
            self.commands += [kind for kind in json.loads(line) if kind != "id"]

    def _note_request(self, url: str) -> None:
        self.requested.add("{0.scheme}://{0.netloc}".format(urlsplit(url)))


Open = Callable[..., ConsolePage]
"""Opens a window: its width and height, and options of a browser context."""


def closing(pages: list[ConsolePage]) -> Iterator[str]:
    """Close the pages; yield what went wrong in them."""
    for page in pages:
        yield from page.problems
        page.page.close()
