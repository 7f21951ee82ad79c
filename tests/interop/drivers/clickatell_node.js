/* The package clickatell-node: the HTTP API and Central REST. */
'use strict';

const { api, called, run } = require('./task');
const clickatell = require('clickatell-node');

const { TO, OTHER, OPTED_OUT, TEXT, UNICODE_HEX, PLAIN_TEXT, DUE_AT, DUE_AT_GMT } = process.env;
const client = api === 'HTTP' ? clickatell.http('sandbox', 'sandbox', 'sandbox') : clickatell.rest('sandbox');
const LATER = api === 'HTTP' ? { scheduled_time: DUE_AT } : { scheduledDeliveryTime: DUE_AT_GMT };

async function send(to, text = TEXT, extra = {}) {
  const results = await called((done) => client.sendMessage(to, text, extra, done));
  return { ids: results.filter((each) => each.id).map((each) => each.id), errors: results.map((each) => each.code) };
}

async function query() {
  const { ids } = await send([TO]);
  return called((done) => client.queryMessage(ids[0], done));
}

async function balance() {
  const found = await called((done) => client.getBalance(done));
  return { balance: Number(found.balance) };
}

run({
  one: () => send([TO]),
  many: () => send([TO, OTHER]),
  unicode: () => send([TO], UNICODE_HEX, { unicode: 1 }),
  plain: () => send([TO], PLAIN_TEXT),
  scheduled: () => send([TO], TEXT, LATER),
  refused: () => send([OPTED_OUT]),
  query,
  balance,
});
