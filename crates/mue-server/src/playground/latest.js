// Of a series of questions only the last one matters.

/** Runs `task(signal)` a little after the last call, and aborts the run before it. */
export function latest(task) {
  let timer = null;
  let running = null;
  const start = async () => {
    timer = null;
    const own = new AbortController();
    running = own;
    try {
      await task(own.signal);
    } catch (error) {
      if (!own.signal.aborted) throw error;
    }
  };
  const ask = (wait_ms = 0) => {
    clearTimeout(timer);
    running?.abort();
    timer = setTimeout(start, wait_ms);
  };
  /** Takes back a run that has not begun; whether there was one. */
  const withdraw = () => {
    const pending = timer !== null;
    clearTimeout(timer);
    timer = null;
    return pending;
  };
  return { ask, withdraw };
}
