// How quick a report opens and sorts: node speed.mjs, with MTDATA_REPORT naming the report's folder. Five openings.
import { open, launch } from "./browser.mjs";

const browser = await launch();
const middle = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
const paints = [], sorts = new Map();
for (let round = 0; round < 5; round++) {
  const { page } = await open(browser);
  paints.push(await page.evaluate(() => new Promise((found) => {
    new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach((entry) => found(entry.startTime)))
      .observe({ type: "paint", buffered: true });
  })));
  // A sort is over when the sorted rows are laid out.
  const found = await page.evaluate(() => [...document.querySelectorAll("[data-table]")].flatMap((table) => [...table.querySelectorAll("thead button")].map((button) => {
    const start = performance.now();
    button.click();
    document.body.getBoundingClientRect();
    return [`${table.dataset.table} by ${button.textContent}`, performance.now() - start, table.querySelector(".n").textContent];
  })));
  for (const [name, time, rows] of found) sorts.set(name, { rows, times: [...sorts.get(name)?.times ?? [], time] });
  await page.close();
}
await browser.close();
console.log(`first paint: ${middle(paints).toFixed(0)} ms in the middle of five, ${Math.max(...paints).toFixed(0)} ms at worst`);
const slowest = [...sorts].map(([name, { rows, times }]) => ({ name, rows, worst: Math.max(...times), middle: middle(times) })).sort((a, b) => b.worst - a.worst);
for (const { name, rows, worst, middle } of slowest.slice(0, 3)) console.log(`sorting ${name} (${rows}): ${middle.toFixed(1)} ms in the middle of five, ${worst.toFixed(1)} ms at worst`);
