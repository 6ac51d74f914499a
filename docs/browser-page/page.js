// What a server sends is text and numbers here, never markup.
import { ask, follow } from "/moondream-relay.js";

const [form, picture, image, status, answer, stop, outline, boxes, points] = [
  "form", "picture", "image", "status", "answer", "stop", "outline", "boxes", "points",
].map((id) => document.getElementById(id));
const MAX_SIDE = 1024; // pixels of the picture that is sent, and kept for a reload
let leave = new AbortController();

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [skill, words] = [form.skill.value, form.words.value];
  if (form.file.files.length) showPicture(await encode(form.file.files[0]));
  const request = { question: words, object: words };
  if (image.src) request.image_url = image.src;
  show((options) => ask(`/v1/${skill}`, only(skill, request), options));
});

stop.addEventListener("click", () => {
  leave.abort();
  if (sessionStorage.answer) fetch(sessionStorage.answer, { method: "DELETE" });
});

/** Show the values of an answer as they come. */
async function show(open) {
  leave.abort();
  const { signal } = (leave = new AbortController());
  delete sessionStorage.answer;
  for (const path of [outline, boxes, points]) path.setAttribute("d", "");
  answer.textContent = "";
  say("Waiting for the answer …");
  answer.ariaBusy = "true"; // a screen reader waits for the whole text
  stop.disabled = false;
  try {
    const onRetry = ({ error, delay }) =>
      say(`${error.message}. Next attempt in ${Math.ceil(delay)} s …`);
    const values = await open({ signal, onRetry });
    sessionStorage.answer = values.url; // a reload follows it again
    for await (const value of values) draw(value);
    say("Complete.");
  } catch (error) {
    if (signal !== leave.signal) return; // another answer is shown
    if (error.status === 404) delete sessionStorage.answer; // it is no longer kept
    say(signal.aborted ? "Stopped." : `It failed: ${error.message}`, !signal.aborted);
  }
  answer.ariaBusy = "false";
  stop.disabled = true;
}

function draw(value) {
  say("Answering …");
  if (value.kind === "text_delta") answer.textContent += value.text;
  if (value.kind === "bbox") drawBoxes([value]);
  if (value.kind === "path_chunk") outline.setAttribute("d", path(outline) + value.data);
  if (value.kind !== "completed") return;
  const { result } = value;
  if (result.kind === "segment_result") outline.setAttribute("d", result.path);
  if (result.bbox) drawBoxes([result.bbox]);
  if (result.objects) drawBoxes(result.objects);
  if (!result.points) return;
  points.setAttribute("d", result.points.map(({ x, y }) => `M${x} ${y}h0`).join(""));
}

const path = (element) => element.getAttribute("d");

/** Draw boxes in fractions of the picture. The outline is in fractions of the first one. */
function drawBoxes(all) {
  boxes.setAttribute("d", all.map((box) =>
    `M${box.x_min} ${box.y_min}H${box.x_max}V${box.y_max}H${box.x_min}Z`).join(""));
  const [box] = all;
  if (!box) return;
  const size = [box.x_max - box.x_min, box.y_max - box.y_min];
  outline.setAttribute("transform", `translate(${box.x_min} ${box.y_min}) scale(${size})`);
}

/** Return a picture as a data URL, upright and not too large. */
async function encode(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.9);
}

function showPicture(url) {
  sessionStorage.picture = image.src = url;
  picture.hidden = false;
}

function say(text, failed = false) {
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle("failed", failed);
}

/** Return the fields that a skill takes. */
function only(skill, { question, object, image_url }) {
  if (skill === "query") return { question, image_url };
  return skill === "caption" ? { image_url } : { object, image_url };
}

// A browser may keep a page that was left, and its connections, for the back button.
addEventListener("pagehide", () => leave.abort());
addEventListener("pageshow", () => {
  if (sessionStorage.picture) showPicture(sessionStorage.picture);
  const url = sessionStorage.answer;
  if (url) show((options) => follow(url, options));
});
