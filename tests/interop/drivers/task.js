/* The task of a driver in JavaScript: one step, whose report is printed as a line of JSON. */
'use strict';

const print = console.log;

exports.api = process.env.CLIENT_API;

/* Run the step that the command line names: a function that returns a report or a promise of one. */
exports.run = function (steps) {
  Promise.resolve()
    .then(() => steps[process.argv[2]]())
    .catch((error) => ({ error: String(error) }))
    .then((report) => print('\nREPORT ' + JSON.stringify(report)));
};

/* Return a promise of what a function passes to its callback `(error, result)`. */
exports.called = (call) =>
  new Promise((resolve, reject) => call((error, result) => (error ? reject(error) : resolve(result))));
