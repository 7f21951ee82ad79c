/* The package node-clickatell, which only sends. It puts the text into the URL as it is. */
'use strict';

const { run } = require('./task');
const clickatell = require('node-clickatell');

const { TO, OTHER, OPTED_OUT, TEXT, PLAIN_TEXT, SANDBOX_URL } = process.env;
const login = { user: 'sandbox', password: 'sandbox', api_id: 'sandbox' };
const client = clickatell({ ...login, api_message_url: SANDBOX_URL + '/http/sendmsg' });

function send(to, text = TEXT) {
  return new Promise((resolve) => {
    client.sendmsg(text, to.join(','), (body) => {
      const lines = body.split('\n');
      const ids = lines.filter((line) => line.startsWith('ID: ')).map((line) => line.split(' ')[1]);
      resolve({ ids, errors: lines.filter((line) => line.startsWith('ERR: ')) });
    });
  });
}

run({
  one: () => send([TO]),
  many: () => send([TO, OTHER]),
  plain: () => send([TO], PLAIN_TEXT),
  refused: () => send([OPTED_OUT]),
});
