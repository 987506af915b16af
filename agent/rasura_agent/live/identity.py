"""How this station gets to sign certificates: by the site folder on the stick, or by online enrolment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from rasura.client import RegistryClient
from rasura.enrolment import Enrolment, EnrolmentEndedError, EnrolmentError
from rasura.errors import RasuraError, UsageError
from rasura.key_box import PassphraseNeededError, WrongPassphraseError
from rasura.note import VerifierKey
from rasura.site_kit import SiteKit, SitePapers
from rasura_agent.clock import Clock
from rasura_agent.console.language import _
from rasura_agent.live.boot_parameters import BootParameters
from rasura_agent.live.situation import Obstacle
from rasura_agent.station import SigningStation

__all__ = ["Reception"]

_PAUSE_S = 5.0
_BACKDATE = timedelta(minutes=5)
_FRESH = timedelta(hours=4)
"""A signing certificate lasts days by the clock that issued it; jobs are long, and clocks get set."""
_LOG = logging.getLogger("rasura.identity")


class _Registry(msgspec.Struct, frozen=True):
    """A registry and whom to believe about it."""

    url: str
    ca_pin: str | None
    logs: tuple[VerifierKey, ...]


class _Identity(msgspec.Struct, frozen=True):
    station: SigningStation
    issued: datetime
    registry: _Registry | None
    kit: SiteKit | None
    """``None`` after an online enrolment."""


class Reception:
    """Signs the station in, and goes on trying in a thread until it is.

    The thread needs no person but for reading a code out; a passphrase is typed with :meth:`open_site`.
    """

    def __init__(
        self,
        parameters: BootParameters,
        build_hash: str | None,
        clock: Clock,
        stick: Callable[[], Path | None],
        tell: Callable[[str], None],
        second_s: float = 1.0,
    ) -> None:
        """``tell`` gets what is news for the screen; an empty sentence where it must be drawn afresh."""
        self._parameters, self._build_hash, self._clock = parameters, build_hash, clock
        self._stick, self._tell, self._second_s = stick, tell, second_s
        self._lock = threading.Lock()
        self._identity: _Identity | None = None
        self._enrolment: Enrolment | None = None
        self._papers_registry: _Registry | None = None
        self._client: tuple[_Registry, RegistryClient] | None = None
        self.obstacle: Obstacle | None = None
        """What is in the way, by the last attempt that ended: one that goes on has not changed it yet."""

    def start(self) -> None:
        """Go on trying from here on."""
        threading.Thread(target=self._run, name="reception", daemon=True).start()

    @property
    def site(self) -> str | None:
        """The site that this station signs for."""
        return self._identity.station.site if self._identity is not None else None

    @property
    def registry(self) -> str | None:
        """The address of the registry, as far as one is known."""
        known = self._registry
        return known.url if known is not None else self._parameters.registry

    @property
    def _registry(self) -> _Registry | None:
        return self._identity.registry if self._identity is not None else self._papers_registry

    def client(self) -> RegistryClient | None:
        """The registry, once it is known and whom to believe about it."""
        registry = self._registry
        if registry is None:
            return None
        if self._client is None or self._client[0] != registry:
            self._client = (registry, RegistryClient(registry.url, registry.logs, ca_pin=registry.ca_pin))
        return self._client[1]

    def station(self) -> SigningStation | None:
        """The station to sign with from now on, certified afresh if the clock has moved on or been set."""
        identity, now = self._identity, self._clock.wall()
        if identity is None or identity.issued - _BACKDATE <= now <= identity.issued + _FRESH:
            return identity.station if identity is not None else None
        if identity.kit is None:
            self._identity = None
            self.attempt()
        else:
            self._accept(identity.kit)
        return self._identity.station if self._identity is not None else None

    def attempt(self) -> None:
        """Try once with what is there; afterwards there is a site or an obstacle."""
        with self._lock:
            if self._identity is None:
                self.obstacle = self._tried(None)

    def open_site(self, passphrase: str) -> None:
        """Try with the passphrase of the site's key."""
        with self._lock:
            if self._identity is None:
                self.obstacle = self._tried(lambda: passphrase)

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(_PAUSE_S * self._second_s):
            if self._identity is not None:
                continue
            before = (self.site, self.obstacle)
            try:
                self.attempt()
            except Exception:  # noqa: BLE001  a bug here must not end the trying
                _LOG.exception("signing in failed")
            if (self.site, self.obstacle) != before:
                self._tell("")

    def _tried(self, passphrase: Callable[[], str] | None) -> Obstacle | None:
        """What is in the way after another attempt; nothing once there is an identity."""
        stick = self._stick()
        folder = stick / "site" if stick is not None else None
        try:
            if folder is not None and folder.is_dir():
                self._by_folder(folder, passphrase)
                return None
            if self._parameters.registry is not None:
                return self._online(self._parameters.registry)
        except PassphraseNeededError:
            return Obstacle(_("the site's key is locked: k asks for its passphrase"), is_sealed=True)
        except WrongPassphraseError as error:
            return Obstacle(str(error), is_sealed=True)
        except RasuraError as error:
            return Obstacle(str(error) if error.hint is None else f"{error} ({error.hint})")
        return Obstacle(
            _("there is no site folder on a stick, and no registry to enrol with: plug in your stick")
        )

    def _by_folder(self, folder: Path, passphrase: Callable[[], str] | None) -> None:
        papers = SitePapers.load(folder)
        wanted = self._parameters.site
        if wanted is not None and wanted != papers.site:
            sentence = _("the stick is of the site {site}, and this machine was booted for {wanted}")
            raise UsageError(sentence.format(site=papers.site, wanted=wanted))
        self._papers_registry = self._registry_of(papers)
        self._accept(SiteKit.load(folder, passphrase))

    def _accept(self, kit: SiteKit) -> None:
        now = self._clock.wall()
        station = SigningStation.certified_by(kit, self._parameters.operator, now)
        self._identity = _Identity(station, now, self._registry_of(kit), kit)
        _LOG.info("signs as %s of %s", station.name, station.site)

    def _registry_of(self, site: SiteKit | SitePapers) -> _Registry | None:
        """The registry named at boot, or else the site's; a site's pin is for the site's registry alone."""
        url, pin = self._parameters.registry, self._parameters.ca_pin
        if url is None:
            url, pin = site.registry_url, pin or site.registry_ca
        return _Registry(url, pin, site.trust.logs) if url is not None else None

    def _online(self, url: str) -> Obstacle | None:
        """Ask to be certified, or whether it was granted; the code is for the registry's operator."""
        pin, now = self._parameters.ca_pin, self._clock.wall()
        try:
            if self._enrolment is None:
                client = RegistryClient(url, (), ca_pin=pin)
                self._enrolment = Enrolment.request(
                    client, clock=now, site=self._parameters.site, build_hash=self._build_hash
                )
                _LOG.info("asks to be enrolled, code %s", self._enrolment.code)
            enrolled = self._enrolment.poll(now)
        except (EnrolmentEndedError, EnrolmentError):
            self._enrolment = None
            raise
        if enrolled is None:
            sentence = _("waits to be approved: type the code {code} into the registry at {url}")
            return Obstacle(sentence.format(code=self._enrolment.code, url=url))
        self._enrolment = None
        station = SigningStation(enrolled.key, enrolled.chain, enrolled.site, self._parameters.operator)
        self._identity = _Identity(station, now, _Registry(url, pin, enrolled.trust.logs), None)
        _LOG.info("enrolled as %s of %s", station.name, station.site)
        return None
