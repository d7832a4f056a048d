// Swagger UI on our own document. Its validator badge would ask a host on the Internet: off.
const target = document.getElementById("swagger-ui");

window.SwaggerUIBundle({
  url: target.dataset.document,
  domNode: target,
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
});
