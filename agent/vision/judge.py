"""From the frames of one track to one decision: quality, liveness, vector, running average, gallery, evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.core import recognition
from agent.core.events import Indication
from agent.core.vision_messages import Face, Finding, FindingKind, Settings
from agent.vision.eyes import Motion, Track
from agent.vision.facts import frame_of
from agent.vision.people import People
from agent.vision.presence import Presence
from agent.vision.strangers import Strangers
from models.arrays import Floats, Image
from models.fusion import RunningAverage
from models.pipeline import Pipeline
from models.quality import assess

# A face in the door's zone is at least this share of the frame's width: at 1280 px and 60 degrees 1.6 m away. Somebody
# further off is watched and not judged; from NEAR on (2.6 m) somebody who stays is asked to come closer.
ZONE_WIDTH: Final = 0.055
NEAR_WIDTH: Final = 0.034
_REST_S: Final[Mapping[FindingKind, float]] = {
    FindingKind.RECOGNISED: 5.0,
    FindingKind.DOUBTFUL: 2.0,
    FindingKind.UNCLEAR: 1.0,
}
LONGEST_OUTDATED_S: Final = 1.0  # then somebody before the camera waits for the rest of the comparing at once
_MOST_DOUBLINGS: Final = 2  # of the rest after a refusal: somebody who waits before the door is no series of attempts
_HINTS: Final[Mapping[str, Indication]] = {
    "small": Indication.COME_CLOSER,
    "blurred": Indication.COME_CLOSER,
    "turned": Indication.LOOK_HERE,
    "dark": Indication.MORE_LIGHT,
    "backlit": Indication.TURN_FROM_LIGHT,
    "glaring": Indication.TURN_FROM_LIGHT,
    "covered": Indication.UNCOVER_FACE,
    recognition.Reason.LOOK_ALIKE: Indication.SHOW_PHONE,
    recognition.Reason.GREY_ZONE: Indication.SHOW_PHONE,
}


@dataclass(slots=True)
class _Case:
    """What is known of one track."""

    average: RunningAverage
    evidence: recognition.Evidence = field(default_factory=recognition.Evidence)
    frames: int = 0
    first_at_s: float = 0.0
    rest_until_s: float = float("-inf")
    must_move: bool = True  # nobody walks up without moving; a poster that is found again, a frozen picture do
    refusals: int = 0
    state: str = "seen"
    match_distance: float | None = None
    live: float | None = None
    person_id: str | None = None
    vector: Floats | None = None  # of the frames so far, while this is undecided


class Judge:
    """One thread. `settings` may change at any time; evidence that is being gathered goes on under the new ones."""

    def __init__(self, pipeline: Pipeline, people: People, settings: Settings) -> None:
        self._pipeline = pipeline
        self._people = people
        self._cases: dict[int, _Case] = {}
        self._strangers = Strangers(pipeline.embedder.same_person_similarity)
        self._presence = Presence()
        self.settings = settings
        self._outdated_s: float | None = None  # since when the bound is one of other people
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """New numbers of the operator: the bound is worked out anew, at once."""
        self.settings = settings
        self._bound = self._people.bound(settings)
        self._outdated_s = None
        self._rules = recognition.rules_for(
            recognition.Level(settings.policy),
            liveness_available=self._pipeline.liveness is not None,
            min_agreement=self._pipeline.embedder.same_person_similarity,
        )

    def people_changed(self, now_s: float) -> None:
        """Somebody came into the gallery or left it. Until `catch_up` is done frames are taken in, nothing is decided.

        So nobody waits while everybody is compared with everybody, and no decision rests on a bound of other people.
        """
        if self._outdated_s is None:
            self._outdated_s = now_s

    def catch_up(self, for_s: float, now_s: float) -> None:
        """Go on working out the bound of a changed gallery, for about so long; to its end after LONGEST_OUTDATED_S."""
        if self._outdated_s is None:
            return
        if self._people.calibrate(for_s if now_s - self._outdated_s < LONGEST_OUTDATED_S else math.inf):
            self.use(self.settings)

    def due(self, track: Track, image_bgr: Image, at_s: float, motion: Motion) -> bool:
        """Whether a track's face in the newest frame is to be judged: near, and not let be for a while.

        A face in a picture that is the one before once more is no further evidence: the camera hangs.
        """
        case = self._cases.setdefault(track.number, self._new_case(track.first_at_s))
        box_px = track.detection.box_px
        if _width(track, image_bgr) < NEAR_WIDTH or at_s < case.rest_until_s or motion.repeated(box_px):
            return False
        return motion.within(box_px) or not case.must_move

    def judge(self, track: Track, image_bgr: Image, at_s: float, motion: Motion) -> Finding | None:
        """Take in a track's face in the newest frame, if it is due; a decision when there is one."""
        if not self.due(track, image_bgr, at_s, motion):
            return None
        case, width = self._cases[track.number], _width(track, image_bgr)
        case.must_move = False
        if case.evidence.frames and at_s - case.evidence.frames[-1].at_s > self._rules.give_up_s:
            self._begin_anew(case)  # a pause of the camera, or of ours: who stood there then may be somebody else
        frame = self._frame(case, track, image_bgr, at_s, in_zone=width >= ZONE_WIDTH)
        case.frames += 1
        case.evidence, verdict = recognition.observe(case.evidence, frame, self._rules, self._bound)
        return None if self._outdated_s is not None else self._finding(track.number, case, verdict, at_s)

    def forget_all_but(self, tracks: set[int], at_s: float) -> list[Finding]:
        """A picture is judged. Tracks that are not among these have ended: what was found out about them."""
        self._presence.watched({c.person_id for n, c in self._cases.items() if n in tracks and c.person_id}, at_s)
        findings = []
        for number in self._cases.keys() - tracks:
            self.catch_up(math.inf, at_s)  # what is known is judged now
            case = self._cases.pop(number)
            verdict = recognition.conclude(case.evidence, self._rules, self._bound)
            finding = self._finding(number, case, verdict, at_s)
            # Somebody who passed by without looking at the camera did not ask for anything.
            if finding is not None and finding.verdict is not FindingKind.UNCLEAR:
                findings.append(finding)
        return findings

    def _visits_before(self, case: _Case, at_s: float) -> int:
        if case.vector is None:
            return 0
        return self._strangers.visits_before(case.vector, at_s, self.settings.strangers_memory_h * 3600)

    def forget_strangers(self, at_s: float) -> None:
        """Called now and then: nobody is remembered for longer because nobody came since."""
        self._strangers.forget(at_s, self.settings.strangers_memory_h * 3600)

    def face(self, track: Track, width_px: int, height_px: int) -> Face:
        """For the preview."""
        case = self._cases.get(track.number) or self._new_case()
        x, y, width, height = track.detection.box_px
        box = (x / width_px, y / height_px, width / width_px, height / height_px)
        return Face(box, track.number, case.state, case.match_distance, case.live, case.person_id)

    def _new_case(self, first_at_s: float = 0.0) -> _Case:
        embedder = self._pipeline.embedder
        return _Case(RunningAverage(embedder.dim, embedder.same_person_similarity), first_at_s=first_at_s)

    def _begin_anew(self, case: _Case) -> None:
        case.average, case.evidence = self._new_case().average, recognition.Evidence()
        case.frames, case.vector = 0, None

    def _frame(self, case: _Case, track: Track, image_bgr: Image, at_s: float, *, in_zone: bool) -> recognition.Frame:
        quality = assess(image_bgr, track.detection)
        flaw = quality.flaw if in_zone else "small"
        case.state = flaw or "looking"
        if flaw is not None:
            return recognition.Frame(at_s, flaw, quality.value)
        liveness = self._pipeline.liveness if self._rules.min_liveness is not None else None
        case.live = None if liveness is None else liveness.score(image_bgr, track.detection)
        vector = self._pipeline.embed_judged(image_bgr, track.detection, quality)
        fused = case.average.add(vector, quality.value)
        case.vector = fused.vector
        seen = recognition.Frame(at_s, None, quality.value, case.live)
        frame = frame_of(seen, fused, vector, self._people.gallery)
        if frame.fused_person_id is not None:
            case.match_distance = recognition.distance(
                frame.fused_similarity, frame.cohort_similarity, frame.cohort_size
            )
        return frame

    def _rest_s(self, case: _Case, kind: FindingKind) -> float:
        """How long the same face is not judged again; longer after each refusal of it."""
        if kind not in (FindingKind.STRANGER, FindingKind.SPOOF):
            return _REST_S[kind]
        rest_s: float = self._rules.retry_s * 2 ** min(case.refusals, _MOST_DOUBLINGS)
        case.refusals += 1
        return rest_s

    def _finding(self, number: int, case: _Case, verdict: recognition.Verdict, at_s: float) -> Finding | None:
        person_id, needs_phone, template, since_s = None, False, None, None
        candidates: tuple[str, ...] = ()
        match verdict:
            case recognition.Undecided():
                return None
            case recognition.Recognised():
                kind, person_id, needs_phone = FindingKind.RECOGNISED, verdict.person_id, verdict.needs_phone
                template = case.average.vector.astype("<f4").tobytes()
                since_s = self._presence.recognised(person_id, case.first_at_s, at_s)
            case recognition.Doubtful():
                kind, needs_phone, candidates = FindingKind.DOUBTFUL, True, verdict.person_ids
            case recognition.Stranger():
                kind = FindingKind.STRANGER
            case recognition.Spoof():
                kind = FindingKind.SPOOF
            case recognition.Unclear():
                kind = FindingKind.UNCLEAR
        first_s = case.evidence.first_usable_s or case.evidence.first_s or at_s
        finding = Finding(
            number,
            kind,
            person_id,
            needs_phone,
            verdict.reason,
            _HINTS.get(verdict.reason),
            first_s,
            at_s,
            case.frames,
            verdict.receipt,
            self._visits_before(case, at_s) if kind is FindingKind.STRANGER else 0,
            template,
            since_s,
            candidates,
            case.evidence.frames[-1].at_s,
        )
        self._begin_anew(case)
        case.rest_until_s, case.must_move = at_s + self._rest_s(case, kind), True
        case.state, case.person_id = kind.value, person_id
        return finding


def _width(track: Track, image_bgr: Image) -> float:
    """Of a face, as a share of the frame's."""
    return float(track.detection.width_px / image_bgr.shape[1])
