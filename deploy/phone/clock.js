// Is this phone's clock right? Only a server can tell: its Date header, whole seconds, when there is a network.
const MAX_WRONG_S = 20; // doors take codes up to 30 s old or early: say so before they refuse
const MAX_ROUND_TRIP_MS = 5000; // a slower answer tells nothing
const DATE_IS_CUT_MS = 500; // the header has no fractions

/** -> seconds by which this phone is ahead (+) or behind (-), 0 when right enough, null when it can't be known. */
export async function clockWrongS() {
  try {
    const sent = Date.now();
    const answer = await fetch("./", { method: "HEAD", cache: "no-store" });
    const back = Date.now();
    const theirs = Date.parse(answer.headers.get("Date") ?? "");
    if (!answer.ok || Number.isNaN(theirs) || back - sent > MAX_ROUND_TRIP_MS) return null;
    const aheadS = ((sent + back) / 2 - theirs - DATE_IS_CUT_MS) / 1000;
    return Math.abs(aheadS) > MAX_WRONG_S ? Math.round(aheadS) : 0;
  } catch {
    return null; // no network
  }
}
