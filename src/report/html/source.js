// Where the data comes from: the page itself, or the server that it came from.

/** A report: everything is in the page. */
class EmbeddedSource {
  overview() { return readData("overview"); }

  run(index) { return readData(`run-${index}`); }

  /** What runs are compared with; `null` when that is nothing, or is known already. */
  baseline() {
    const isKnown = this.isBaselineRead === true;
    this.isBaselineRead = true;
    return isKnown ? null : readData("baseline");
  }
}

/** Time between two looks, and for a server or a line that is slow the share of the time that goes into them. */
const LOOK_EVERY_MS = 2000, LOOK_EVERY_MAX_MS = 30000, BUSY_SHARE = 0.1;
const ANSWER_WITHIN_MS = 20000;

/** A daemon: asked again and again; what did not change is not sent again. */
class ServerSource {
  constructor() { this.tags = new Map(); }

  /** `null` when it is as it was. */
  async look(path) {
    const known = this.tags.get(path);
    const answer = await fetch(path, {
      headers: known === undefined ? {} : { "If-None-Match": known }, cache: "no-store", credentials: "same-origin",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (answer.status === 304 || answer.status === 202) return null;
    if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
    this.tags.set(path, answer.headers.get("ETag"));
    return answer.json();
  }

  overview() { return this.look("data/overview"); }

  /** All of it; `null` while the daemon has not read it yet. */
  run(_, key) {
    // One run is shown at a time: what the others were like is forgotten.
    for (const path of this.tags.keys()) if (path.startsWith("data/run")) this.tags.delete(path);
    return this.look(this.path(key));
  }

  /** What runs are compared with; `null` when that is nothing, or is known already. */
  baseline() { return this.look("data/baseline"); }

  runAgain(key) { return this.look(this.path(key)); }

  path(key) { return `data/run?run=${encodeURIComponent(key)}`; }
}
