// Shows the document that the address names after its #, the first one otherwise, and lets its requests be tried.
"use strict";

const links = [...document.querySelectorAll("[data-document]")];

// Swagger UI sends an application's credentials as HTTP Basic and reads snake_case; our token endpoints take a form and each
// answers in its dialect's spelling.
function credentialsAsForm(request) {
  const basic = /^Basic (.*)$/.exec((request.headers || {}).Authorization || "");
  if (!basic || !request.url.endsWith("/oauth/token")) return request;
  const [id, ...secret] = atob(basic[1]).split(":");
  const form = new URLSearchParams(request.body);
  form.set("client_id", id);
  form.set("client_secret", secret.join(":"));
  delete request.headers.Authorization;
  request.body = form.toString();
  return request;
}

function tokenInSnakeCase(response) {
  if (!response.url.endsWith("/authentication/v1.0/oauth/token") || !response.ok) return response;
  const token = JSON.parse(response.text);
  if (token.accessToken) response.data = response.text = JSON.stringify({ access_token: token.accessToken, token_type: "bearer", ...token });
  return response;
}

function show() {
  const chosen = links.find((link) => link.hash === location.hash) || links[0];
  for (const link of links) link.toggleAttribute("aria-current", link === chosen);
  window.ui = SwaggerUIBundle({
    url: chosen.dataset.document,
    dom_id: "#document",
    // Whether a document is valid is asked of nobody else.
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
    docExpansion: "list",
    displayRequestDuration: true,
    requestInterceptor: credentialsAsForm,
    responseInterceptor: tokenInSnakeCase,
  });
}

addEventListener("hashchange", show);
show();
