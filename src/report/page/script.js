"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // Theme: as the system says, or as chosen here.
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const remembered = () => { try { return localStorage.getItem("mtdata-theme"); } catch { return null; } };
  const theme = (name) => {
    if (name === "auto") root.removeAttribute("data-theme"); else root.dataset.theme = name;
    $("#theme").textContent = "Theme: " + name;
    try { localStorage.setItem("mtdata-theme", name); } catch { /* private windows remember nothing */ }
  };
  theme(themes.includes(remembered()) ? remembered() : "auto");
  $("#theme").addEventListener("click", () => {
    const now = root.dataset.theme ?? "auto";
    theme(themes[(themes.indexOf(now) + 1) % themes.length]);
  });

  const quote = (cell) => /[",\n\r]/.test(cell) ? '"' + String(cell).replaceAll('"', '""') + '"' : String(cell);
  const save = (name, rows) => {
    const text = rows.map((row) => row.map(quote).join(",")).join("\n") + "\n";
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name + ".csv" });
    link.click();
    URL.revokeObjectURL(link.href);
  };

  // A table whose rows stand in a script element, column by column.
  class Data {
    constructor(place) {
      this.place = place;
      this.name = place.dataset.table;
      this.columns = JSON.parse($("script", place).textContent);
      this.length = this.columns[0]?.values?.length ?? this.columns[0]?.at.length ?? 0;
      this.known = new Map();
      this.page = 0;
      this.size = Number(place.dataset.size ?? 25);
      this.head = $("thead tr", place);
      this.body = $("tbody", place);
      this.order = Uint32Array.from({ length: this.length }, (_, row) => row);
      this.rows = this.order;
      this.bar();
      this.heads();
    }
    cell(column, row) { const c = this.columns[column]; return c.of ? c.of[c.at[row]] : c.values[row]; }
    bar() {
      const label = "Filter " + this.place.dataset.label;
      this.input = make("input", { type: "search", placeholder: "Filter, e.g. " + this.place.dataset.example, "aria-label": label });
      let waiting;
      this.input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => this.filter(this.input.value), 60); });
      this.before = make("button", { type: "button" }, "Previous");
      this.after = make("button", { type: "button" }, "Next");
      this.count = make("span", { class: "n", role: "status" });
      const csv = make("button", { type: "button" }, "Save these rows as CSV");
      this.before.addEventListener("click", () => this.turn(-1));
      this.after.addEventListener("click", () => this.turn(1));
      csv.addEventListener("click", () => save(this.name, this.sheet()));
      this.place.prepend(make("div", { class: "bar" }, this.input, this.before, this.after, csv, this.count));
    }
    sheet() {
      return [this.columns.map((column) => column.name), ...Array.from(this.rows, (row) => this.columns.map((_, column) => this.cell(column, row)))];
    }
    heads() {
      this.columns.forEach((column, number) => {
        const head = this.head.children[number];
        if (!head) return;
        const button = make("button", { type: "button" }, head.textContent);
        head.replaceChildren(button);
        button.addEventListener("click", () => this.sort(number, head));
      });
    }
    sort(column, head) {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of this.head.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      const { numeric, of, at, values } = this.columns[column];
      const plain = new Intl.Collator("en", { numeric: true }).compare;
      let keys;
      if (numeric) keys = Float64Array.from({ length: this.length }, (_, row) => { const cell = values ? values[row] : of[at[row]]; return cell === "" ? NaN : Number(cell); });
      else {
        // Texts are compared once, then rows by the rank of theirs.
        const distinct = of ?? [...new Set(values)];
        const ranks = new Map([...distinct].sort(plain).map((text, rank) => [text, rank]));
        keys = Float64Array.from({ length: this.length }, (_, row) => ranks.get(values ? values[row] : of[at[row]]));
      }
      // Empty cells come last either way.
      const compare = (a, b) => {
        const x = keys[a], y = keys[b];
        if (x === y) return a - b;
        if (x !== x) return y !== y ? a - b : 1;
        return y !== y ? -1 : (x - y) * sign;
      };
      this.order = Uint32Array.from(this.order).sort(compare);
      this.filter(this.input.value);
    }
    filter(text) {
      this.keep((text.toLowerCase().match(/\S+="[^"]*"|\S+/g) ?? []).map((term) => {
        const [name, ...rest] = term.split("=");
        const column = this.columns.findIndex((known) => known.name === name);
        return column >= 0 && rest.length ? { column, value: rest.join("=").replace(/^"|"$/g, "") } : { text: term };
      }));
    }
    // Shows the rows that all terms fit: a column's value, or a text anywhere.
    keep(terms) {
      const fits = (row) => terms.every((term) => term.text === undefined
        ? String(this.cell(term.column, row)).toLowerCase() === term.value
        : this.columns.some((_, column) => String(this.cell(column, row)).toLowerCase().includes(term.text)));
      this.rows = terms.length ? this.order.filter(fits) : this.order;
      this.page = 0;
      this.draw();
    }
    turn(step) { this.page += step; this.draw(); }
    draw() {
      // Links lead to other tables: they are drawn when all are there.
      if (!ready) return;
      const pages = Math.max(1, Math.ceil(this.rows.length / this.size));
      const from = this.page * this.size, to = Math.min(this.rows.length, from + this.size);
      this.body.replaceChildren(...Array.from(this.rows.subarray(from, to), (row) => this.line(row)));
      this.before.disabled = this.page === 0;
      this.after.disabled = this.page + 1 >= pages;
      this.count.textContent = this.rows.length ? `${from + 1}–${to} of ${this.rows.length}` : "nothing fits";
    }
    link({ table, by }, value, row) {
      const own = (name) => String(this.cell(this.columns.findIndex((column) => column.name === name), row));
      const terms = by.map(([theirs, ours]) => [theirs, own(ours)]);
      return tables.get(table)?.has(terms) ? jump(table, terms, value) : value;
    }
    // Whether any row has these values in these columns.
    has(terms) {
      const names = terms.map(([name]) => name), key = JSON.stringify(names);
      if (!this.known.has(key)) {
        const columns = names.map((name) => this.columns.findIndex((column) => column.name === name));
        this.known.set(key, new Set(Array.from({ length: this.length }, (_, row) => JSON.stringify(columns.map((column) => String(this.cell(column, row)))))));
      }
      return this.known.get(key).has(JSON.stringify(terms.map(([, value]) => value)));
    }
    line(row) {
      return make("tr", {}, ...this.columns.map((column, number) => {
        const value = String(this.cell(number, row));
        const cell = number === 0 ? make("th", { scope: "row" }) : make("td", column.numeric ? {} : { class: "t" });
        cell.append(column.to && value && value !== "0" ? this.link(column.to, value, row) : value);
        return cell;
      }));
    }
  }

  const jump = (table, terms, value) => {
    const link = make("a", { href: "#" + table }, value);
    link.addEventListener("click", () => show(table, terms));
    return link;
  };
  // Shows the rows of a table that have these values in these columns.
  const show = (table, terms) => {
    const data = tables.get(table);
    if (!data) return;
    data.input.value = terms.map(([column, value]) => `${column}="${value}"`).join(" ");
    data.keep(terms.map(([column, value]) => ({ column: data.columns.findIndex((known) => known.name === column), value: value.toLowerCase() })));
    for (let up = data.place; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  };

  // Participant by questionnaire: each character is a pair of due and missing.
  class People extends Data {
    constructor(place) {
      super(place);
      this.scales = JSON.parse(place.dataset.scales);
    }
    heads() {
      const choices = make("select", { "aria-label": "Order of participants" },
        ...[["percent_missing", "Most missing first"], ["participant", "By participant"]].map(([value, text]) => make("option", { value }, text)));
      choices.addEventListener("change", () => this.arrange(choices.value));
      this.input.after(choices);
      this.arrange("percent_missing");
    }
    arrange(name) {
      const head = make("th");
      if (name === "percent_missing") head.setAttribute("aria-sort", "ascending");
      this.sort(this.columns.findIndex((column) => column.name === name), head);
    }
    sheet() {
      const cells = (row) => [...this.cell(2, row)].map((letter) => { const [due, missing] = pair(letter); return due ? `${missing} of ${due}` : ""; });
      return [["participant", ...this.scales], ...Array.from(this.rows, (row) => [this.cell(0, row), ...cells(row)])];
    }
    line(row) {
      const { scales } = this;
      const [who, , code] = [0, 1, 2].map((column) => this.cell(column, row));
      const name = make("th", { scope: "row" }, jump("participants", [["participant", String(who)]], String(who)));
      const cells = [...code].map((letter, number) => {
        const [due, missing] = pair(letter);
        if (!due) return make("td", { class: "none", title: scales[number] + ": not due" }, "·");
        const share = Math.round(missing * 100 / due);
        const cell = make("td", { class: !missing ? "all" : share > 50 ? "h hi" : "h", title: `${scales[number]}: ${missing} of ${due} missing` }, missing ? String(missing) : "");
        cell.style.setProperty("--s", share);
        return cell;
      });
      return make("tr", {}, name, ...cells);
    }
  }
  const LETTERS = [...Array(92).keys()].map((n) => String.fromCharCode(35 + n)).filter((c) => !"\\<>&".includes(c)).join("");
  const pair = (letter) => {
    const known = LETTERS.indexOf(letter);
    let missing = known >= 0 ? known : LETTERS.length + letter.charCodeAt(0) - 161, due = 0;
    while (missing > due) missing -= ++due;
    return [due, missing];
  };

  const tables = new Map();
  let ready = false;
  for (const place of $$("[data-table]")) {
    const data = place.dataset.scales ? new People(place) : new Data(place);
    tables.set(data.name, data);
  }
  ready = true;
  for (const data of tables.values()) data.draw();
  for (const link of $$("a[data-show]")) link.addEventListener("click", () => show(link.dataset.show, [link.dataset.filter.split("=")]));

  // Plain tables can be saved as they stand.
  for (const table of $$("table[data-csv]")) {
    const button = make("button", { type: "button" }, "Save as CSV");
    button.addEventListener("click", () => save(table.dataset.csv, $$("tr", table).map((row) => [...row.children].map((cell) => cell.dataset.value ?? cell.textContent.trim()))));
    table.closest(".scroll").after(make("div", { class: "bar" }, button));
  }
  addEventListener("beforeprint", () => $$("details").forEach((details) => { details.open = true; }));
})();
