// A report of tables that try to break out of the page: names, ids, sessions and answers that are markup and script.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import { folder, launch, open, table } from "./browser.mjs";

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); });

test("nothing of the data becomes part of the page, whatever is clicked", async () => {
  const { page, troubles } = await open(browser);
  const buttons = await page.locator("thead button").all();
  for (const button of buttons) await button.click();
  await page.evaluate(() => { for (const link of document.querySelectorAll("#findings a, #map a, a[data-show]")) link.click(); });
  for (const details of await page.locator("details").all()) await details.evaluate((element) => { element.open = true; });
  assert.equal(await page.locator("img, iframe, object, embed, link, b > script, td script, th script, i:not([class])").count(), 0);
  assert.equal(await page.locator("script").count(), 1 + await page.locator("[data-table]").count());
  assert.equal(await page.locator("a[href^='javascript:']").count(), 0);
  assert.equal(await page.title(), "lab – data report");
  assert.deepEqual(troubles, []);
});

test("the hostile names are shown as what they are", async () => {
  const { page } = await open(browser);
  const ids = await page.$$eval("#participants tbody th", (cells) => cells.map((cell) => cell.textContent));
  assert.deepEqual(ids, table("participants.csv").map((row) => row.participant));
  assert.ok(ids.includes("<script>alert('who')</script>") && ids.includes("javascript:alert('id')"));
  assert.ok((await page.locator("table[data-csv=missing-by-session] tbody th").allTextContents()).includes('"><img'));
  // Following such an id works like any other.
  await page.locator("#map tbody th a", { hasText: "alert('who')" }).click();
  assert.deepEqual(await page.$$eval("#participants tbody th", (cells) => cells.map((cell) => cell.textContent)), ["<script>alert('who')</script>"]);
});

test("what people wrote is not on the page", () => {
  const page = readFileSync(resolve(folder, "index.html"), "utf8");
  for (const text of ["my secret", "secret of seven", "I will not say"]) assert.ok(!page.includes(text), text);
});

test("an injected script would not run: the policy allows this page's own only", async () => {
  const { page, troubles } = await open(browser);
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.injected = true'>");
    return window.injected ?? false;
  });
  assert.equal(ran, false);
  assert.ok(troubles.some((trouble) => trouble.includes("Content Security Policy")));
});
