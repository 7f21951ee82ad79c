/* The package clickatell-api: the HTTP API with its batches. */
'use strict';

const { run } = require('./task');
const clickatell = require('clickatell-api');

const { TO, OTHER, OPTED_OUT, TEXT, UNICODE_HEX, PLAIN_TEXT, DUE_AT, TEMPLATE, NAMES } = process.env;
const client = clickatell('sandbox', 'sandbox').http('sandbox');

async function send(to, text = TEXT, options = {}) {
  try {
    const found = await client.sendMessage(to.join(','), text, options);
    return { ids: [].concat(found.ID) };
  } catch (error) {
    if (!error.code) throw error;
    return { errors: [error.code] };
  }
}

async function query() {
  const { ids } = await send([TO]);
  const found = await client.queryMessage(ids[0]);
  return { status: found.Status };
}

async function balance() {
  const found = await client.getBalance();
  return { balance: Number(found.Credit) };
}

async function batch() {
  const started = await client.startBatch(TEMPLATE);
  const recipients = [TO, OTHER];
  const ids = [];
  for (const [index, name] of NAMES.split(',').entries()) {
    ids.push((await client.sendItem(started.ID, recipients[index], { field1: name })).ID);
  }
  await client.endBatch(started.ID);
  return { ids };
}

run({
  one: () => send([TO]),
  many: () => send([TO, OTHER]),
  unicode: () => send([TO], UNICODE_HEX, { unicode: 1 }),
  plain: () => send([TO], PLAIN_TEXT),
  scheduled: () => send([TO], TEXT, { scheduled_time: DUE_AT }),
  refused: () => send([OPTED_OUT]),
  query,
  balance,
  batch,
});
