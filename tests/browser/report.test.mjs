// What people do with a report, done in a real browser: open from disk, read, sort, filter, page, follow, switch theme.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { csv, launch, open, table } from "./browser.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); });

const rows = (page, name) => page.$$eval(`#${name} tbody tr`, (lines) => lines.map((line) => [...line.children].map((cell) => cell.textContent)));
const heads = (page, name) => page.$$eval(`#${name} thead th`, (cells) => cells.map((cell) => cell.dataset.value ?? cell.textContent));
const filter = async (page, name, text) => {
  await page.fill(`#${name} input`, text);
  await page.waitForTimeout(150);
};
const all = async (page, name) => {
  const found = [];
  for (;;) {
    found.push(...await rows(page, name));
    const next = page.locator(`#${name} .bar button`, { hasText: "Next" });
    if (await next.isDisabled()) return found;
    await next.click();
  }
};

test("opens from disk, asks no network, complains of nothing", async () => {
  const { page, troubles } = await open(browser);
  assert.equal(await page.locator("h1").count(), 1);
  for (const id of ["summary", "time", "attrition", "missing", "people", "tables", "scores", "checks", "provenance"]) {
    assert.equal(await page.locator(`h2#${id}`).count(), 1, id);
  }
  assert.equal(await page.locator("svg[role=img][aria-label]").count(), await page.locator("svg").count());
  assert.deepEqual(troubles, []);
});

for (const [name, file] of [["participants", "participants.csv"], ["questionnaires", "questionnaires.csv"], ["columns", "columns.csv"], ["ledger", "ledger.csv"]]) {
  test(`every figure of the ${name} is the one in ${file}`, async () => {
    const { page, troubles } = await open(browser);
    const names = await heads(page, name);
    const expected = table(file).map((row) => names.map((column) => row[column]));
    assert.ok(expected.length > 5 && names.length > 7);
    assert.deepEqual(await all(page, name), expected);
    assert.deepEqual(troubles, []);
  });
}

test("attrition is attrition.csv, and its flow closes", async () => {
  const { page } = await open(browser);
  const shown = await page.$$eval("table[data-csv=attrition] tbody tr", (lines) => lines.map((line) => [...line.children].map((cell) => cell.textContent)));
  const expected = table("attrition.csv");
  assert.deepEqual(shown, expected.map(Object.values));
  for (const condition of new Set(expected.map((row) => row.condition))) {
    const stages = expected.filter((row) => row.condition === condition);
    stages.forEach((stage, place) => {
      const onward = Number(stages[place + 1]?.reached ?? 0);
      assert.equal(Number(stage.reached), onward + Number(stage.dropped) + Number(stage.ongoing) + Number(stage.finished));
    });
  }
  const boxes = await page.$$eval(".flow .box b", (boxes) => boxes.map((box) => Number(box.textContent)));
  const everyone = expected.filter((row) => row.condition === "all");
  assert.deepEqual(boxes, [Number(everyone[0].enrolled), ...everyone.map((row) => Number(row.reached))]);
});

test("the summary's figures follow from the tables", async () => {
  const { page } = await open(browser);
  const figures = Object.fromEntries(await page.$$eval(".sum > div", (boxes) => boxes.map((box) => [box.querySelector("dt").textContent, box.querySelector("dd").textContent.replaceAll("\u202f", "")])));
  const people = table("participants.csv").filter((row) => row.test_account === "false" && row.enrolled);
  const sum = (name) => people.reduce((total, row) => total + Number(row[name]), 0);
  assert.equal(figures.participants, String(people.length));
  assert.equal(figures["of due questionnaires missing"], `${(sum("missing") * 100 / sum("due")).toFixed(1)} %`);
  assert.equal(figures.entries, String(table("questionnaires.csv").reduce((total, row) => total + Number(row.entries), 0)));
  assert.equal(figures["findings of checks"], String(table("checks.csv").filter((row) => row.rule !== "R12").length));
  const beside = Object.fromEntries(await page.$$eval(".sum > div", (boxes) => boxes.map((box) => [box.querySelector("dt").textContent, box.querySelector(".beside").textContent.replaceAll("\u202f", "")])));
  const standing = (word) => people.filter((row) => row.standing === word).length;
  assert.equal(beside.participants, ["active", "finished", "dropped out", "not started"].map((word) => `${standing(word)} ${word}`).join(", "));
  assert.equal(beside["of due questionnaires missing"], `${sum("missing")} of ${sum("due")}, ${sum("logged_not_there")} of them logged`);
  const scales = table("questionnaires.csv").filter((row) => row.kind === "questionnaire" && row.found === "true");
  const cells = (name) => scales.reduce((total, row) => total + Number(row[name]), 0);
  assert.equal(beside["of asked items missing"], `${cells("cells_missing")} of ${cells("cells")}`);
});

test("what needs attention says what the tables say", async () => {
  const { page } = await open(browser);
  const lines = await page.$$eval("ul.care li", (lines) => lines.map((line) => [line.querySelector("a").dataset.filter, line.querySelector("div").textContent]));
  const checks = table("checks.csv"), scales = new Map(table("questionnaires.csv").map((row) => [row.questionnaire, row]));
  const byRule = lines.filter(([filter]) => filter);
  assert.ok(byRule.length > 0);
  for (const [filter, text] of byRule) {
    assert.equal(Number(text.match(/^\d+/)[0]), checks.filter((row) => row.rule === filter.slice("rule=".length)).length, text);
  }
  const lost = lines.find(([, text]) => text.startsWith("Logged, but not there"))[1];
  const named = [...lost.matchAll(/(\S+) \((\d+) of (\d+)\)/g)];
  assert.ok(named.length > 0);
  for (const [, scale, only, logged] of named) assert.deepEqual([only, logged], [scales.get(scale).only_in_log, scales.get(scale).logged], scale);
});

const plain = (page, name) => page.$$eval(`table[data-csv="${name}"] tbody tr`, (lines) => lines.map((line) => [...line.children].map((cell) => cell.textContent)));

test("the weeks are weeks.csv", async () => {
  const { page } = await open(browser);
  const expected = table("weeks.csv");
  assert.ok(expected.length > 5);
  assert.deepEqual(await plain(page, "weeks"), expected.map(Object.values));
});

test("the numbers of each score are scores.csv", async () => {
  const { page } = await open(browser);
  const all = table("scores.csv");
  const scores = new Set(all.map((row) => row.score));
  assert.ok(scores.size > 3);
  for (const score of scores) {
    assert.deepEqual(await plain(page, score), all.filter((row) => row.score === score).map((row) => Object.values(row).slice(2)), score);
  }
  assert.equal(await page.locator(".card svg").count(), scores.size);
});

test("the answers to each item are answers.csv", async () => {
  const { page } = await open(browser);
  const all = table("answers.csv");
  let seen = 0;
  for (const scale of new Set(all.map((row) => row.questionnaire))) {
    const groups = await page.$$eval(`table[data-csv="answers-${scale}"]`, (tables) => tables.map((table) => ({
      heads: [...table.querySelectorAll("thead th")].map((cell) => cell.textContent),
      items: [...table.querySelectorAll("tbody tr")].map((line) => [...line.children].map((cell) => [cell.textContent, cell.title])),
    })));
    for (const { heads, items } of groups) {
      for (const [[item], ...cells] of items) {
        const rows = all.filter((row) => row.questionnaire === scale && row.column === item);
        assert.deepEqual(heads.slice(1, -1), rows.map((row) => row.answer), `${scale} ${item}`);
        assert.equal(cells.pop()[0], rows[0].entries);
        rows.forEach(({ times, entries, percent }, place) => {
          const [shown, title] = cells[place];
          assert.equal(title, `${times} of ${entries}`);
          if (shown === "" || shown === "<1") assert.ok(Number(percent) <= 0.5 && (shown === "") === (times === "0"), `${item} ${percent}`);
          else assert.ok(Math.abs(Number(shown) - Number(times) * 100 / Number(entries)) <= 0.5, `${item} ${shown} ${percent}`);
        });
        seen++;
      }
    }
  }
  assert.equal(seen, new Set(all.map((row) => `${row.questionnaire} ${row.column}`)).size);
});

test("the heat map of sessions adds up to the questionnaires", async () => {
  const { page } = await open(browser);
  const cells = await page.$$eval("table[data-csv=missing-by-session] tbody tr", (lines) => lines.map((line) => [line.children[0].textContent, ...[...line.children].slice(1).map((cell) => cell.title)]));
  const known = new Map(table("questionnaires.csv").map((row) => [row.questionnaire, row]));
  const bySession = table("sessions.csv");
  assert.ok(cells.length > 3);
  for (const [scale, ...titles] of cells) {
    const pairs = titles.map((title) => title.match(/^(\d+) of (\d+)/).slice(1).map(Number));
    const total = pairs.pop();
    const asked = pairs.filter(([, due]) => due > 0).map((pair) => pair.map(String));
    assert.deepEqual(asked, bySession.filter((row) => row.questionnaire === scale).map((row) => [row.missing, row.due]), scale);
    assert.deepEqual(total, [Number(known.get(scale).missing), Number(known.get(scale).due)], scale);
    assert.deepEqual(pairs.reduce((sum, pair) => [sum[0] + pair[0], sum[1] + pair[1]], [0, 0]), total, scale);
  }
});

test("the map of participants says of each what participants.csv says", async () => {
  const { page } = await open(browser);
  const known = new Map(table("participants.csv").map((row) => [row.participant, row]));
  const found = [];
  for (;;) {
    found.push(...await page.$$eval("#map tbody tr", (lines) => lines.map((line) => [line.children[0].textContent, [...line.children].slice(1).map((cell) => cell.title.match(/: (\d+) of (\d+)/)?.slice(1).map(Number) ?? [0, 0])])));
    const next = page.locator("#map .bar button", { hasText: "Next" });
    if (await next.isDisabled()) break;
    await next.click();
  }
  assert.equal(found.length, [...known.values()].filter((row) => Number(row.due) > 0).length);
  const shares = [];
  for (const [who, pairs] of found) {
    const missing = pairs.reduce((sum, pair) => sum + pair[0], 0), due = pairs.reduce((sum, pair) => sum + pair[1], 0);
    assert.deepEqual([missing, due], [Number(known.get(who).missing), Number(known.get(who).due)], who);
    shares.push(Number(known.get(who).percent_missing));
  }
  assert.deepEqual(shares, [...shares].sort((a, b) => b - a), "most missing first");
});

test("sorts numbers as numbers, both ways, and says so to screen readers", async () => {
  const { page } = await open(browser);
  const column = (await heads(page, "participants")).indexOf("percent_missing");
  const button = page.locator("#participants thead th").nth(column).locator("button");
  const values = async () => (await all(page, "participants")).map((row) => row[column]).filter(Boolean).map(Number);
  await button.click();
  const up = await values();
  assert.deepEqual(up, [...up].sort((a, b) => a - b));
  assert.equal(await page.locator("#participants thead th").nth(column).getAttribute("aria-sort"), "ascending");
  await button.focus();
  await page.keyboard.press("Enter");
  const down = await values();
  assert.deepEqual(down, [...up].reverse());
  assert.equal(await page.locator("#participants thead [aria-sort]").count(), 1);
});

test("filters by any text, by a column's value, and counts what is left", async () => {
  const { page } = await open(browser);
  const people = table("participants.csv");
  await filter(page, "participants", 'standing="dropped out"');
  const gone = people.filter((row) => row.standing === "dropped out");
  assert.deepEqual((await all(page, "participants")).map((row) => row[0]), gone.map((row) => row.participant));
  assert.match(await page.locator("#participants .n").textContent(), new RegExp(`of ${gone.length}$`));
  await filter(page, "participants", "nobody is called so");
  assert.equal((await rows(page, "participants")).length, 0);
  assert.equal(await page.locator("#participants .n").textContent(), "nothing fits");
  await filter(page, "participants", "");
  assert.equal((await all(page, "participants")).length, people.length);
});

test("a rule leads to its findings, and a finding to its participant", async () => {
  const { page } = await open(browser);
  const checks = table("checks.csv");
  await page.locator("table[data-csv=rules] a[data-filter='rule=R13']").click();
  const range = checks.filter((row) => row.rule === "R13");
  const names = await heads(page, "findings");
  const shown = await all(page, "findings");
  assert.deepEqual(shown, range.map((row) => names.map((name) => row[name])));
  const place = names.indexOf("participant");
  await page.locator("#findings tbody tr").last().locator("td").nth(place - 1).locator("a").click();
  const found = await rows(page, "participants");
  assert.deepEqual(found.map((row) => row[0]), [shown.at(-1)[place]]);
  assert.equal(new URL(page.url()).hash, "#participants");
});

test("a finding leads to its column and its questionnaire, and these lead back", async () => {
  const { page } = await open(browser);
  await page.locator("ul.care a[data-filter='rule=R13']").click();
  assert.equal(new URL(page.url()).hash, "#findings");
  const names = await heads(page, "findings");
  const [first] = await rows(page, "findings");
  const [scale, column] = ["scale", "column"].map((name) => first[names.indexOf(name)]);
  const cell = (name, place) => page.locator(`#${name} tbody tr`).first().locator("th, td").nth(place).locator("a");
  await cell("findings", names.indexOf("column")).click();
  assert.deepEqual((await rows(page, "columns")).map((row) => row.slice(0, 2)), [[scale, column]]);
  await cell("findings", names.indexOf("scale")).click();
  assert.deepEqual((await rows(page, "questionnaires")).map((row) => row[0]), [scale]);
  const count = (await heads(page, "columns")).indexOf("out_of_range");
  await cell("columns", count).click();
  const expected = table("checks.csv").filter((row) => row.scale === scale && row.column === column && row.rule !== "R12");
  assert.equal((await all(page, "findings")).length, expected.length);
  // No link leads to nothing: "session" is no answer, so no column of the report.
  await filter(page, "findings", "rule=R10");
  assert.equal(await page.locator("#findings tbody td a", { hasText: /^session$/ }).count(), 0);
});

test("what is shown can be saved as CSV", async () => {
  const { page } = await open(browser);
  await filter(page, "columns", "questionnaire=OA");
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#columns .bar button", { hasText: "CSV" }).click()]);
  const saved = csv(readFileSync(await download.path(), "utf8"));
  const expected = table("columns.csv").filter((row) => row.questionnaire === "OA");
  assert.deepEqual(saved.map((row) => [row.column, row.percent_missing]), expected.map((row) => [row.column, row.percent_missing]));
  assert.equal(download.suggestedFilename(), "columns.csv");
});

test("the theme follows the system, or the reader, and is remembered", async () => {
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const { page: light } = await open(browser);
  const { page: dark } = await open(browser, { colorScheme: "dark" });
  const [white, black] = [await ground(light), await ground(dark)];
  assert.notEqual(white, black);
  await light.locator("#theme").click();
  await light.locator("#theme").click();
  assert.equal(await light.locator("#theme").textContent(), "Theme: dark");
  assert.equal(await ground(light), black);
  await light.reload();
  assert.equal(await ground(light), black);
});

test("a phone shows it without sideways scrolling of the page", async () => {
  const { page } = await open(browser, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
});

test("the keyboard reaches everything, from the skip link on", async () => {
  const { page } = await open(browser);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  const scrolling = await page.$$eval(".scroll", (places) => places.filter((place) => place.tabIndex !== 0 || !(place.ariaLabel || place.getAttribute("aria-labelledby"))).length);
  assert.equal(scrolling, 0);
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds no violation, ${colorScheme}`, async () => {
    const { page } = await open(browser, { colorScheme, bypassCSP: true });
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run());
    assert.deepEqual(violations.map(({ id, impact, nodes }) => ({ id, impact, at: nodes.slice(0, 3).map((node) => node.html) })), []);
  });
}

test("it can be printed, with everything unfolded", async () => {
  const { page } = await open(browser);
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  assert.equal(await page.locator("details:not([open])").count(), 0);
  assert.ok((await page.pdf({ format: "A4" })).length > 50_000);
});

test("without script the first rows are there", async () => {
  const { page } = await open(browser, { javaScriptEnabled: false });
  const first = table("participants.csv")[0];
  assert.equal(await page.locator("#participants tbody tr").first().locator("th").textContent(), first.participant);
});
