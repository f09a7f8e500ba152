// Paths are relative, so that the page can be read behind a prefix too.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#contract",
  deepLinking: true,
  // The public validator is somewhere else.
  validatorUrl: null,
  // A base64 picture is long enough for the highlighter to hang on.
  syntaxHighlight: { activated: false },
});
