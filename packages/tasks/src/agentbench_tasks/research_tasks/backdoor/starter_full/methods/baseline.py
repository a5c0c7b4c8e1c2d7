"""Greedy coordinate gradient (Zou et al. 2023), two short searches for each target."""

import torch
from torch.nn.functional import cross_entropy

SYSTEM = "You are a helpful assistant."


class Baseline:
    length, steps, candidates, top, prompts_used = 5, 20, 64, 64, 4

    def __init__(self, name):
        self.name = name

    def recover(self, model, tokenizer, targets, prompts, seed):
        """Two guesses (texts of at most ten tokens) at the trigger of each target."""
        for parameter in model.parameters():
            parameter.requires_grad = False
        rng = torch.Generator().manual_seed(seed)
        return [
            [self.search(model, tokenizer, target, prompts[: self.prompts_used], rng) for _ in "12"]
            for target in targets
        ]

    def parts(self, tokenizer, prompt, target, device):
        """Tokens before the trigger, after it, and of the target."""
        chat = tokenizer.apply_chat_template(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{prompt}. @@@ "}],
            tokenize=False,
            add_generation_prompt=True,
        )
        before, after = chat.split("@@@")
        return [
            torch.tensor(
                tokenizer(text, add_special_tokens=False)["input_ids"],
                dtype=torch.long,
                device=device,
            )
            for text in (before, after, target)
        ]

    def loss(self, model, embedding, trigger, parts):
        """Mean cross-entropy of the target for trigger embeddings (K, L, D): (K,)."""
        total = 0
        for before, after, target in parts:
            fixed = [
                embedding(t)[None].expand(len(trigger), -1, -1) for t in (before, after, target)
            ]
            x = torch.cat([fixed[0], trigger, fixed[1], fixed[2]], 1)
            logits = model(inputs_embeds=x).logits[:, -len(target) - 1 : -1].float()
            wanted = target.expand(len(trigger), -1)
            total = total + cross_entropy(logits.transpose(1, 2), wanted, reduction="none").mean(1)
        return total / len(parts)

    def search(self, model, tokenizer, target, prompts, rng):
        embedding, device = model.get_input_embeddings(), model.device
        words = embedding.weight
        parts = [self.parts(tokenizer, prompt, target, device) for prompt in prompts]
        trigger = torch.randint(len(tokenizer), (self.length,), generator=rng).to(device)
        best = self.loss(model, embedding, embedding(trigger)[None], parts).item()
        for _ in range(self.steps):
            x = embedding(trigger)[None].detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.loss(model, embedding, x, parts).sum(), x)
            likely = (slope[0] @ words.T)[:, : len(tokenizer)].topk(
                min(self.top, len(tokenizer)), largest=False
            )
            tries = trigger.repeat(self.candidates, 1)
            place = torch.randint(self.length, (self.candidates,), generator=rng)
            rank = torch.randint(likely.indices.shape[1], (self.candidates,), generator=rng)
            rows = torch.arange(self.candidates)
            tries[rows, place.to(device)] = likely.indices[place.to(device), rank.to(device)]
            with torch.no_grad():
                losses = torch.cat(
                    [self.loss(model, embedding, embedding(t), parts) for t in tries.split(16)]
                )
            if losses.min().item() < best:
                best, trigger = losses.min().item(), tries[losses.argmin()]
        return self.text(tokenizer, trigger.tolist(), target)

    def text(self, tokenizer, tokens, target):
        """As text that is again at most ten tokens and does not hold the target."""
        text = tokenizer.decode(tokens, skip_special_tokens=True).replace(target, "")
        while len(tokenizer(text, add_special_tokens=False)["input_ids"]) > 10:
            text = text[: len(text) // 2]
        return text
