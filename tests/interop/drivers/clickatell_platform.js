/* The package clickatell-platform. It returns nothing and prints what it received. */
'use strict';

const { api, run } = require('./task');
const client = require('clickatell-platform');

const call = api === 'Platform HTTP' ? client.sendMessageHttp : client.sendMessageRest;

function send(to, text = process.env.TEXT) {
  return new Promise((resolve) => {
    console.log = (label, value) => {
      if (label !== 'body:') return;
      const answer = JSON.parse(value);
      const errors = answer.messages.concat([answer]).filter((each) => each.error).map((each) => each.error);
      resolve({ ids: answer.messages.filter((each) => each.accepted).map((each) => each.apiMessageId), errors });
    };
    call(text, to, 'sandbox');
  });
}

const { TO, OTHER, OPTED_OUT, UNICODE_TEXT } = process.env;
run({
  one: () => send([TO]),
  many: () => send([TO, OTHER]),
  unicode: () => send([TO], UNICODE_TEXT),
  refused: () => send([OPTED_OUT]),
});
