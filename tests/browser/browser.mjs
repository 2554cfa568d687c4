// Chromium as the tests and the screenshots start it: headless, without network, a report opened from disk.
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

export const folder = resolve(process.env.MTDATA_REPORT ?? "report");

const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((place) => place && existsSync(place));

export const launch = () => chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

/// A page with the report, and everything that went wrong or tried to leave the machine while it was used.
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
  await context.setOffline(true);
  const page = await context.newPage();
  const troubles = [];
  page.on("console", (message) => { if (message.type() !== "log") troubles.push(`${message.type()}: ${message.text()}`); });
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { troubles.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!/^(file|blob|data):/.test(request.url())) troubles.push(`request: ${request.url()}`); });
  await page.goto(pathToFileURL(resolve(folder, options.file ?? "index.html")).href);
  return { page, troubles };
}

/// A CSV file as rows of objects; RFC 4180, written here so that the test leans on nothing of the page.
export function csv(text) {
  const rows = [[]];
  let cell = "", quoted = false;
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (quoted) {
      if (c === '"' && text[at + 1] === '"') { cell += '"'; at++; } else if (c === '"') quoted = false; else cell += c;
    } else if (c === '"') quoted = true;
    else if (c === ",") { rows.at(-1).push(cell); cell = ""; }
    else if (c === "\n") { rows.at(-1).push(cell); cell = ""; rows.push([]); }
    else cell += c;
  }
  rows.pop();
  const [header, ...body] = rows;
  return body.map((row) => Object.fromEntries(header.map((name, place) => [name, row[place]])));
}

export const table = (name) => csv(readFileSync(resolve(folder, name), "utf8"));
