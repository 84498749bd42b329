"""Real Chromium, headless, with a new and empty profile; and what a person does with it."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.brokers.maven import made_once, run
from tests.console.debian import program
from tests.console.served import PASSWORD
from tests.processes import until

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_AXE = "4.14.1"
_RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(
  (found) => done(found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html).join(" | ")}`)),
  (error) => done([String(error)]));
"""


class Chromium:
    """A browser at a console, from `with` to its end."""

    def __init__(self, address: str, language: str = "en") -> None:
        self._address = address
        self._language = language
        self._profile = TemporaryDirectory(prefix="loanrouter-chromium-")
        self.driver: Chrome

    def __enter__(self) -> Self:
        options = ChromeOptions()
        options.binary_location = program("chromium", "chromium", "fonts-noto-cjk")
        for flag in (*_FLAGS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"intl.accept_languages": self._language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options, Service(program("chromedriver", "chromium-driver")))
        self.driver.set_page_load_timeout(60)
        self.sized(1200, 900)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.driver.quit()
        self._profile.cleanup()

    # -- what a person does

    def open(self, path: str) -> None:
        """Open a page."""
        self.driver.get(self._address + path)

    def log_in(self, name: str, button: str = "Log in") -> None:
        """Log in as somebody, in the place of who was before."""
        self.log_out()
        self.open("/login")
        self.fill("name", name)
        self.fill("password", PASSWORD)
        self.press(button)
        until(lambda: self.path == "/")

    def log_out(self) -> None:
        """Forget who is logged in."""
        self.driver.delete_all_cookies()

    def fill(self, name: str, text: str) -> None:
        """Type into the field of that name."""
        field = self.one(f"main [name={name}]")
        field.clear()
        field.send_keys(text)

    def choose(self, name: str, label: str) -> None:
        """Choose from a list."""
        Select(self.one(f"main select[name={name}]")).select_by_visible_text(label)

    def press(self, label: str) -> None:
        """Press the button or follow the link that says so, and wait for the page that it leads to."""
        before = self.one("html")
        self.said(label).click()
        until(lambda: _gone(before))

    def said(self, label: str) -> WebElement:
        """The button or link that says so."""
        found = f"//main//button[normalize-space()='{label}'] | //a[normalize-space()='{label}']"
        return until(lambda: next(iter(self.driver.find_elements(By.XPATH, found)), None))  # type: ignore[return-value]

    # -- what a person sees

    @property
    def path(self) -> str:
        """Where the browser is."""
        return self.driver.current_url.removeprefix(self._address)

    def one(self, selector: str) -> WebElement:
        """The first element that the CSS selector finds, as soon as there is one."""
        return until(lambda: next(iter(self.driver.find_elements(By.CSS_SELECTOR, selector)), None))  # type: ignore[return-value]

    def texts(self, selector: str) -> list[str]:
        """What the elements say that the CSS selector finds now."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText.trim())"
        found: list[str] = self.driver.execute_script(script, selector)
        return found

    def until_said(self, selector: str, words: str) -> None:
        """Wait until an element that the CSS selector finds says so."""
        until(lambda: any(words in text for text in self.texts(selector)))

    def complaints(self) -> list[str]:
        """What the browser has complained of, such as a script that was refused; each once."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def barriers(self) -> list[str]:
        """What axe finds against the page's accessibility."""
        self.driver.execute_script(_axe())
        found: list[str] = self.driver.execute_async_script(_RUN_AXE)
        return found

    def overflows(self) -> bool:
        """Whether the page is wider than the screen."""
        width: int = self.run("return document.documentElement.scrollWidth - window.innerWidth")
        return width > 0

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script gives."""
        return self.driver.execute_script(script, *arguments)

    # -- what it is looked at with

    def sized(self, width: int, height: int) -> None:
        """On a screen of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, *, on: bool) -> None:
        """With a preference for dark pages, or for light ones."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, path: Path) -> None:
        """Write what is seen to a PNG file."""
        assert self.driver.save_screenshot(str(path))


def _axe() -> str:
    """The script of axe-core, from the npm registry, fetched once."""

    def fetch(folder: Path) -> None:
        install = ("install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", f"axe-core@{_AXE}")
        folder.mkdir()
        run([program("npm", "npm"), "--prefix", str(folder), *install])

    return (made_once(f"axe/{_AXE}", fetch) / "node_modules" / "axe-core" / "axe.min.js").read_text()


def _gone(element: WebElement) -> bool:
    with suppress(WebDriverException):
        element.is_enabled()
        return False
    return True
