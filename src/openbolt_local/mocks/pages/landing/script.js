const form = document.querySelector("#form");
const email = document.querySelector("#email");
const message = document.querySelector("#message");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const right = email.checkValidity();
  message.className = right ? "hint" : "hint bad";
  email.setAttribute("aria-invalid", String(!right));
  if (!right) {
    message.textContent = "Please type an email address, such as name@example.com.";
    email.focus();
    return;
  }
  message.textContent = `Thank you. We would write to ${email.value} (this page sends nothing yet).`;
  form.reset();
});
