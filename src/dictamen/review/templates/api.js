// Requests to our own server. Every failure is an Error with the server's words.
let rater = "";

export function setRater(name) { rater = name; }

async function request(path, options = {}) {
  const headers = { "x-rater": rater, ...(options.headers || {}) };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  let words = `${response.status} ${response.statusText}`;
  try {
    const told = await response.json();
    words = [told.what, told.got && `Received: ${told.got}.`, told.next].filter(Boolean).join(" ") || words;
  } catch { /* not JSON: the status must do */ }
  throw new Error(words);
}

export const get = async (path) => (await request(path)).json();
export const bytes = async (path) => (await request(path)).arrayBuffer();
export const post = async (path, body) =>
  (await request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).json();
